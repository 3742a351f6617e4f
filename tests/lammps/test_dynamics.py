"""Dynamics in the real LAMMPS: conservation, boundaries, restarts, and OpenMM's own trajectory."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from openmm import XmlSerializer, unit

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.export import write_artefact
from fisher_mlip.export.lammps_artefact import LammpsArtefact
from fisher_mlip.lammps import run_lammps as simulate_in_lammps
from fisher_mlip.model import Checkpoint
from fisher_mlip.simulate import run_simulation
from fisher_mlip.simulate.velocities import maxwell_boltzmann
from fisher_mlip.units import NM_PER_ANGSTROM
from tests.lammps.engine import needs_lammps, run_lammps, start_of_input, thermo_lines, write_data

pytestmark = needs_lammps

POSITIONS = "write_dump all custom {} id xu yu zu vx vy vz modify sort id format float %.17g"


@pytest.fixture(scope="module")
def box(ethanol_frames: Frames) -> Frame:
    """Four ethanols in a box, each as the model has seen them, too far apart to meet."""
    shifts = np.array([[0, 0, 0], [7, 0, 0], [0, 7, 0], [7, 7, 7]])
    frames = [ethanol_frames[k] for k in range(4)]
    positions = np.concatenate([f.positions + 3.0 + s for f, s in zip(frames, shifts, strict=True)])
    numbers = np.concatenate([frame.atomic_numbers for frame in frames])
    return Frame(numbers, positions, 14.0 * np.eye(3), np.ones(3, dtype=bool))


def velocities(frame: Frame, temperature: float = 300.0) -> FloatArray:
    """Return velocities (n_atoms, 3), Å/ps, without a total momentum."""
    masses = np.array([{1: 1.008, 6: 12.011, 8: 15.999}[int(z)] for z in frame.atomic_numbers])
    groups = np.zeros(frame.n_atoms, dtype=np.int64)
    return maxwell_boltzmann(masses, temperature, groups, seed=1) / NM_PER_ANGSTROM


def fluctuation(
    folder: Path, model: Path, frame: Frame, timestep_fs: float, *extra: str
) -> tuple[float, float]:
    """Return how far the total energy of 20 fs of NVE strays, and that of the kinetic one, eV."""
    symbols = write_data(folder, frame, velocities(frame))
    run = run_lammps(
        folder,
        [
            *start_of_input(model, symbols),
            f"timestep {timestep_fs * 1e-3}",
            "fix integrate all nve",
            *extra,
            *thermo_lines("ke etotal"),
            f"run {round(20.0 / timestep_fs)}",
        ],
    )
    assert run.code == 0, run.error
    rows = run.thermo()
    return float(np.std(rows["TotEng"])), float(np.std(rows["KinEng"]))


def follows_the_step(coarse: float, fine: float) -> bool:
    """Whether halving the step divides an energy error by four, as velocity Verlet has it."""
    return 3.2 < coarse / fine < 4.8


def test_the_energy_error_goes_with_the_square_of_the_step(
    in_float64: LammpsArtefact, box: Frame, tmp_path: Path
) -> None:
    coarse, kinetic = fluctuation(tmp_path, in_float64.path, box, 0.2)
    fine, _ = fluctuation(tmp_path, in_float64.path, box, 0.1)
    assert follows_the_step(coarse, fine)
    assert coarse < 0.01 * kinetic


def test_a_force_that_is_no_gradient_is_seen(
    in_float64: LammpsArtefact, box: Frame, tmp_path: Path
) -> None:
    """The sabotage twin: a hundredth of a typical force, of which the energy knows nothing."""
    push = "fix push all addforce 0.03 0.0 0.0"
    coarse, _ = fluctuation(tmp_path, in_float64.path, box, 0.2, push)
    fine, _ = fluctuation(tmp_path, in_float64.path, box, 0.1, push)
    assert not follows_the_step(coarse, fine)


def conserved_range(folder: Path, model: Path, frame: Frame, *extra: str) -> tuple[float, float]:
    """Return the ranges of the conserved and of the total energy of tilted NPT, eV."""
    symbols = write_data(folder, frame, velocities(frame))
    run = run_lammps(
        folder,
        [
            *start_of_input(model, symbols),
            "change_box all triclinic",
            "timestep 0.0001",
            "fix integrate all npt temp 300 300 0.01 tri 1.0 1.0 0.02",
            *extra,
            *thermo_lines("etotal econserve vol"),
            "run 150",
        ],
        ranks=2,
    )
    assert run.code == 0, run.error
    rows = run.thermo()
    assert np.ptp(rows["Volume"]) > 0.1
    return float(np.ptp(rows["Econserve"])), float(np.ptp(rows["TotEng"]))


def test_npt_conserves_its_energy(in_float64: LammpsArtefact, box: Frame, tmp_path: Path) -> None:
    conserved, total = conserved_range(tmp_path, in_float64.path, box)
    assert conserved < 0.02 * total


def test_npt_without_the_virial_does_not(
    in_float64: LammpsArtefact, box: Frame, tmp_path: Path
) -> None:
    """The sabotage twin: a barostat that is told the kinetic pressure alone."""
    blind = ["compute P all pressure thermo_temp ke", "fix_modify integrate press P"]
    conserved, total = conserved_range(tmp_path, in_float64.path, box, *blind)
    assert conserved > 0.1 * total


def test_atoms_that_leave_through_the_boundary(
    in_float64: LammpsArtefact, box: Frame, tmp_path: Path
) -> None:
    """A box that flies through its own boundaries (and from rank to rank) is one at rest."""
    found = {}
    for name, speed in (("rest", 0.0), ("flight", 2800.0)):
        drift = velocities(box) + np.array([speed, 0.5 * speed, 0.0])
        symbols = write_data(tmp_path, box, drift)
        run = run_lammps(
            tmp_path,
            [
                *start_of_input(in_float64.path, symbols),
                "timestep 0.0002",
                "fix integrate all nve",
                *thermo_lines("pe"),
                "run 40",
                POSITIONS.format(f"{name}.txt"),
            ],
            ranks=2,
        )
        assert run.code == 0, run.error
        found[name] = run.thermo()["PotEng"], run.dump(f"{name}.txt")[:, 1:4]
    moved = 2800.0 * 0.0002 * 40 * np.array([1.0, 0.5, 0.0])
    assert moved[0] > 14.0
    assert np.abs(found["flight"][0] - found["rest"][0]).max() < 1e-9
    assert np.abs(found["flight"][1] - found["rest"][1] - moved).max() < 1e-8


def test_a_restart_goes_on(in_float64: LammpsArtefact, box: Frame, tmp_path: Path) -> None:
    symbols = write_data(tmp_path, box, velocities(box))
    start = start_of_input(in_float64.path, symbols)
    rest = ["timestep 0.0002", "fix integrate all nve", *thermo_lines("pe")]
    whole = [
        *start,
        *rest,
        "run 20",
        "write_restart half.restart",
        "run 20",
        POSITIONS.format("a.txt"),
    ]
    first = run_lammps(tmp_path, whole, ranks=2)
    assert first.code == 0, first.error
    again = [line.replace("read_data test.data", "read_restart half.restart") for line in start]
    again = [line for line in again if not line.startswith("atom_style")]
    second = run_lammps(tmp_path, [*again, *rest, "run 20", POSITIONS.format("b.txt")])
    assert second.code == 0, second.error
    assert second.thermo()["Step"][0] == 20
    difference = np.abs(first.dump("a.txt") - second.dump("b.txt"))[:, 1:4]
    assert difference.max() < 1e-10


@pytest.mark.slow
def test_the_trajectory_is_that_of_openmm(
    two_layers: Checkpoint, in_float64: LammpsArtefact, box: Frame, tmp_path: Path
) -> None:
    """Two hundred steps of 0.2 fs from one state.

    LAMMPS's `units metal` have seven digits (k_B, and mv^2 in eV, relative 3e-7), so that its atoms
    are that much faster: 1e-6 Å after 40 fs of some 0.5 Å of way, and what chaos makes of it.
    """
    write(tmp_path / "box.xyz", Atoms(box.atomic_numbers, box.positions, cell=box.cell, pbc=True))
    config = SimulateConfig(
        model=str(write_artefact(tmp_path, two_layers, "float64").path),
        system=str(tmp_path / "box.xyz"),
        temperature=300.0,
        timestep=0.2,
        steps=200,
        trajectory_interval=200,
        platform="Reference",
        route="torchforce",
        watch={"enabled": False},  # type: ignore[arg-type]
    )
    run_simulation(config, tmp_path / "openmm")
    state = XmlSerializer.deserialize((tmp_path / "openmm" / "state.xml").read_text())
    expected = np.array(state.getPositions(asNumpy=True).value_in_unit(unit.angstrom))
    lammps = config.model_copy(
        update={
            "engine": "lammps",
            "model": str(in_float64.path),
            "platform": "auto",
            "route": "auto",
            "ranks": 2,
        }
    )
    simulate_in_lammps(lammps, tmp_path / "lammps")
    lines = (tmp_path / "lammps" / "trajectory.lammpstrj").read_text().splitlines()
    found = np.array([line.split()[3:6] for line in lines[-box.n_atoms :]], dtype=np.float64)
    difference = found - expected
    difference -= 14.0 * np.round(difference / 14.0)
    moved = expected - box.positions
    assert np.abs(moved - 14.0 * np.round(moved / 14.0)).max() > 0.1
    assert np.abs(difference).max() < 1e-5
