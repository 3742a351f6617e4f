"""Run folders of known slope and known breaking times, written as `simulate` writes them."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import mdtraj
import numpy as np
import numpy.typing as npt
import pytest
import yaml

from fisher_mlip.config import SimulateConfig
from fisher_mlip.units import KJ_PER_MOL_PER_EV

Array = npt.NDArray[np.float64]
WATER = np.array([[0.0, 0.0, 0.0], [0.096, 0.0, 0.0], [-0.024, 0.093, 0.0]])


@dataclass
class RunRecipe:
    """What is written: waters that sit still, but for the given breaks and drift.

    Attributes:
        slope: meV/atom/ps of every molecule.
        noise: meV/atom of the total energy's white noise.
        breaks: frame (from 0) at which a molecule's first O-H bond becomes `stretch` longer.
        cell: edge of the box in nm, or None.
        shift: nm, of all positions before wrapping atom by atom into the cell.
        spread: eV, extra energy swing by molecule.
        density: g/mL, a row each; None for a ledger without it.
    """

    molecules: int = 8
    rows: int = 201
    frames: int = 20
    slope: float = 0.0
    noise: float = 0.2
    kinetic_noise: float = 1.0
    temperature: float = 300.0
    hot: Mapping[str, float] = field(default_factory=dict)
    breaks: Mapping[int, int] = field(default_factory=dict)
    stretch: float = 0.07
    spread: Mapping[int, float] = field(default_factory=dict)
    cell: float | None = None
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    segments: int = 1
    ensemble: Literal["nve", "nvt", "npt"] = "nve"
    density: Array | None = None
    seed: int = 0

    @property
    def config(self) -> SimulateConfig:
        return SimulateConfig(
            model="model.pt",
            system="ethanol-gas",
            molecules=self.molecules,
            ensemble=self.ensemble,
            temperature=self.temperature,
            steps=(self.rows - 1) * 10,
            trajectory_interval=100,
        )


@pytest.fixture
def make_run(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Write a run folder under `tmp_path` from the fields of `RunRecipe`."""

    def make(name: str = "run", **recipe: object) -> Path:
        return write_run(tmp_path / name, RunRecipe(**recipe))  # type: ignore[arg-type]

    yield make


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of real LAMMPS runs, not to be changed: `own`, `metal`, `real`, `tilted`."""
    from .lammps_runs import TILTED, Recipe, own_run, user_run

    folder = tmp_path_factory.mktemp("lammps")
    own_run(folder / "own", Recipe())
    user_run(folder / "metal", Recipe())
    user_run(folder / "real", Recipe(units="real"))
    user_run(folder / "tilted", TILTED)
    return folder


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A LAMMPS run of `simulate` to be changed."""
    return shutil.copytree(made / "own", tmp_path / "own")


@pytest.fixture
def user(made: Path, tmp_path: Path) -> Path:
    """A LAMMPS run of a user to be changed."""
    return shutil.copytree(made / "metal", tmp_path / "user")


def write_run(folder: Path, recipe: RunRecipe) -> Path:
    folder.mkdir(parents=True)
    config = recipe.config
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump()))
    topology = water_topology(recipe.molecules)
    n_atoms = topology.n_atoms
    reference = {
        "n_atoms": n_atoms,
        "n_molecules": recipe.molecules,
        "molecule_index": [atom // 3 for atom in range(n_atoms)],
        "masses": [atom.element.mass for atom in topology.atoms],
        "symbols": [atom.element.symbol for atom in topology.atoms],
        "bonds": [[3 * m, 3 * m + h] for m in range(recipe.molecules) for h in (1, 2)],
        "model": "model.pt",
        "model_sha256": "0" * 64,
        "model_label": "synthetic",
        "potential_zero": "E - sum(E0)",
    }
    (folder / "reference.json").write_text(json.dumps(reference))
    _write_trajectory(folder, topology, recipe)
    _write_ledgers(folder, recipe, n_atoms)
    summary = {"status": "finished", "steps_done": config.steps, "platform": "Reference"}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def water_topology(molecules: int) -> mdtraj.Topology:
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for _ in range(molecules):
        residue = topology.add_residue("HOH", chain)
        for name, symbol in (("O", "O"), ("H1", "H"), ("H2", "H")):
            topology.add_atom(name, mdtraj.element.get_by_symbol(symbol), residue)
    return topology


def _write_trajectory(folder: Path, topology: mdtraj.Topology, recipe: RunRecipe) -> None:
    places = np.array([[0.9 * m, 0.0, 0.0] for m in range(recipe.molecules)])
    still = (places[:, None] + WATER + recipe.shift).reshape(-1, 3)
    positions = np.repeat(still[None], recipe.frames, axis=0)
    positions += np.random.default_rng(recipe.seed).normal(0.0, 0.001, positions.shape)
    for molecule, frame in recipe.breaks.items():
        positions[frame:, 3 * molecule + 1, 0] += recipe.stretch
    lengths = angles = None
    if recipe.cell is not None:
        positions %= recipe.cell
        lengths = np.full((recipe.frames, 3), recipe.cell)
        angles = np.full((recipe.frames, 3), 90.0)
    trajectory = mdtraj.Trajectory(
        positions, topology, unitcell_lengths=lengths, unitcell_angles=angles
    )
    trajectory[0].save_pdb(str(folder / "topology.pdb"))
    segments = []
    interval = recipe.config.trajectory_interval
    for number, part in enumerate(np.array_split(np.arange(recipe.frames), recipe.segments)):
        name = "trajectory.dcd" if number == 0 else f"trajectory.part{number + 1:04d}.dcd"
        trajectory[part].save_dcd(str(folder / name))
        # A run is rarely interrupted at a frame.
        segments.append({"file": name, "first_step": int(part[0]) * interval + (number > 0)})
    record = {"step": recipe.frames * interval, "segments": segments}
    (folder / "checkpoint.json").write_text(json.dumps(record))


def _write_ledgers(folder: Path, recipe: RunRecipe, n_atoms: int) -> None:
    generator = np.random.default_rng(recipe.seed)
    steps = 10 * np.arange(recipe.rows)
    time = steps / 1000.0
    change = (recipe.slope * time + generator.normal(0.0, recipe.noise, recipe.rows)) / 1000.0
    molecule = -20.0 + 3 * change[:, None] + np.zeros(recipe.molecules)
    for index, swing in recipe.spread.items():
        molecule[:, index] += swing * (steps > steps[-1] // 2)
    total = molecule.sum(axis=1)
    kinetic = n_atoms * (40.0 + generator.normal(0.0, recipe.kinetic_noise, recipe.rows)) / 1000.0
    temperature = recipe.temperature + generator.normal(0.0, 3.0, recipe.rows)
    elements = {
        symbol: recipe.hot.get(symbol, 1.0) * temperature + generator.normal(0.0, 3.0, recipe.rows)
        for symbol in ("H", "O")
    }
    columns = {
        "Step": steps,
        "Time (ps)": time,
        "Potential Energy (kJ/mole)": (total - kinetic) * KJ_PER_MOL_PER_EV,
        "Kinetic Energy (kJ/mole)": kinetic * KJ_PER_MOL_PER_EV,
        "Total Energy (kJ/mole)": total * KJ_PER_MOL_PER_EV,
        "Temperature (K)": temperature,
        "Temperature H (K)": elements["H"],
        "Temperature O (K)": elements["O"],
        "Speed (ns/day)": np.full(recipe.rows, 1.0),
    }
    if recipe.density is not None:
        columns["Density (g/mL)"] = recipe.density
    write_csv(folder / "ledger.csv", columns)
    energies = {
        f"Molecule {index} (kJ/mole)": molecule[:, index] * KJ_PER_MOL_PER_EV
        for index in range(recipe.molecules)
    }
    write_csv(folder / "molecules.csv", {"Step": steps, "Time (ps)": time} | energies)


def write_csv(path: Path, columns: Mapping[str, npt.NDArray[Any]]) -> None:
    header = "#" + ",".join(f'"{name}"' for name in columns)
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(repr(float(cell)) for cell in row) for row in rows]
    path.write_text("\n".join([header, *lines]) + "\n")
