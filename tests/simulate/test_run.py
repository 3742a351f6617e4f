"""A run folder from start to end: exact rows, the right dynamics, what is refused."""

import json
from pathlib import Path

import mdtraj
import numpy as np
import openmm
import pytest
import torch
import yaml

from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.simulate import run_simulation
from fisher_mlip.simulate.systems import build_molecular_system
from fisher_mlip.simulate.velocities import maxwell_boltzmann
from openmm_plugin import topology_atomic_numbers

from .conftest import MakeConfig, read_rows


def test_run_folder(short: MakeConfig, tmp_path: Path) -> None:
    summary = run_simulation(short(), tmp_path / "run")
    run = tmp_path / "run"
    assert summary.status == "finished"
    assert read_rows(run / "ledger.csv")[:, 0].tolist() == list(range(0, 13, 2))
    assert read_rows(run / "molecules.csv")[:, 0].tolist() == list(range(0, 13, 2))
    trajectory = mdtraj.load_dcd(str(run / "trajectory.dcd"), top=str(run / "topology.pdb"))
    assert trajectory.n_frames == 4
    assert trajectory.unitcell_lengths is None
    start = mdtraj.load_pdb(str(run / "topology.pdb"))
    assert np.abs(trajectory.xyz[0] - start.xyz[0]).max() < 0.02  # nm, after 1.5 fs
    assert start.topology.n_residues == 2
    assert start.topology.n_bonds == 16
    reference = json.loads((run / "reference.json").read_text())
    assert reference["n_molecules"] == 2
    assert reference["molecule_index"] == [0] * 9 + [1] * 9
    assert len(reference["bonds"]) == 16
    stored = json.loads((run / "summary.json").read_text())
    assert stored == json.loads(json.dumps(summary.as_dict()))
    assert all((run / name).exists() for name in (summary.paths["ledger"], "state.xml"))
    assert yaml.safe_load((run / "config.yaml").read_text())["dtype"] == "float64"
    assert not [p for p in tmp_path.iterdir() if p != run]


def test_both_routes_run_the_same_dynamics(short: MakeConfig, tmp_path: Path) -> None:
    rows = []
    for route, name in (("torchforce", "TorchForce"), ("python", "PythonForce")):
        summary = run_simulation(short(route=route), tmp_path / route)
        assert summary.force_route.startswith(f"{name} (fused): ")
        rows.append(read_rows(tmp_path / route / "ledger.csv")[:, :5])
        rows.append(read_rows(tmp_path / route / "molecules.csv"))
    np.testing.assert_allclose(rows[0], rows[2], rtol=1e-9)
    np.testing.assert_allclose(rows[1], rows[3], rtol=1e-9)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(rows[1][:-1], rows[3][1:], rtol=1e-9)


def _verlet_by_hand(
    short: MakeConfig, artefact: Artefact, steps: int, timestep_ps: float
) -> np.ndarray:
    """Return potential and kinetic energies (steps + 1, 2), kJ/mol, of velocity Verlet."""
    system = build_molecular_system(short(), artefact.manifest.cutoff)
    numbers = topology_atomic_numbers(system.topology)
    module = artefact.bind(numbers, periodic=False, molecules=system.molecules)
    masses = system.masses[:, None]
    x = system.positions * 0.1
    v = maxwell_boltzmann(system.masses, 300.0, system.molecules, seed=0)

    def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
        positions = torch.tensor(x, requires_grad=True)
        energy = module(positions)
        (gradient,) = torch.autograd.grad(energy, positions)
        return float(energy.detach()), -gradient.numpy()

    potential, forces = evaluate(x)
    energies = [(potential, 0.5 * (masses * v**2).sum())]
    for _ in range(steps):
        v = v + 0.5 * timestep_ps * forces / masses
        x = x + timestep_ps * v
        potential, forces = evaluate(x)
        v = v + 0.5 * timestep_ps * forces / masses
        energies.append((potential, 0.5 * (masses * v**2).sum()))
    return np.array(energies)


def test_nve_is_velocity_verlet_from_the_first_step(
    short: MakeConfig, artefact: Artefact, tmp_path: Path
) -> None:
    run_simulation(short(report_interval=1), tmp_path / "run")
    energies = read_rows(tmp_path / "run" / "ledger.csv")[:, 2:4]
    expected = _verlet_by_hand(short, artefact, 12, 0.0005)
    np.testing.assert_allclose(energies, expected, rtol=0, atol=1e-7)
    half_a_step_wrong = _verlet_by_hand(short, artefact, 12, 0.00051)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(energies, half_a_step_wrong, rtol=0, atol=1e-7)


def test_molecules_add_up_and_share_no_momentum(short: MakeConfig, tmp_path: Path) -> None:
    summary = run_simulation(short(molecules=3), tmp_path / "run")
    ledger = read_rows(tmp_path / "run" / "ledger.csv")
    molecules = read_rows(tmp_path / "run" / "molecules.csv")
    np.testing.assert_allclose(molecules[:, 2:].sum(axis=1), ledger[:, 4], rtol=0, atol=1e-8)
    assert summary.degrees_of_freedom == pytest.approx(3 * (27 - 3))
    state = openmm.XmlSerializer.deserialize((tmp_path / "run" / "state.xml").read_text())
    velocities = state.getVelocities(asNumpy=True)._value.reshape(3, 9, 3)
    masses = np.array(json.loads((tmp_path / "run" / "reference.json").read_text())["masses"])
    momenta = (masses.reshape(3, 9, 1) * velocities).sum(axis=1)
    np.testing.assert_allclose(momenta, 0.0, atol=1e-9)


def test_nvt_counts_every_degree_of_freedom(short: MakeConfig, tmp_path: Path) -> None:
    summary = run_simulation(short(ensemble="nvt", platform="CPU"), tmp_path / "run")
    assert summary.degrees_of_freedom == 54
    ledger = read_rows(tmp_path / "run" / "ledger.csv")
    kinetic = ledger[:, 3]
    np.testing.assert_allclose(ledger[:, 5], 2 * kinetic / (54 * 0.00831446261815324), rtol=1e-10)


def test_periodic_pdb(short: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "box.pdb"
    from io import StringIO

    from fisher_mlip.data.ethanol import ethanol_positions, ethanol_topology

    text = StringIO()
    topology = ethanol_topology(1, np.diag([9.0, 10.0, 11.0]))
    openmm.app.PDBFile.writeFile(topology, ethanol_positions(), text)
    path.write_text(text.getvalue())
    summary = run_simulation(short(system=str(path)), tmp_path / "run")
    assert summary.status == "finished"
    assert not (tmp_path / "run" / "molecules.csv").exists()
    assert summary.degrees_of_freedom == pytest.approx(24)
    trajectory = mdtraj.load_dcd(str(tmp_path / "run" / "trajectory.dcd"), top=str(path))
    np.testing.assert_allclose(trajectory.unitcell_lengths[0], [0.9, 1.0, 1.1], atol=1e-6)


def test_an_existing_folder_is_not_touched(
    short: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    with pytest.raises(InputError, match="exists: name another one"):
        run_simulation(short(), tmp_path)
    with pytest.raises(InputError, match="did not make"):
        run_simulation(short(), tmp_path, overwrite=True)
    assert (tmp_path / "keep.txt").read_text() == "mine"
    run_simulation(short(steps=1), tmp_path / "run")
    with pytest.raises(InputError, match="holds a run: --resume or --restart auto goes on with it"):
        run_simulation(short(steps=1), tmp_path / "run")
    (tmp_path / "config.yaml").touch()
    with pytest.raises(InputError, match="is no run folder: --overwrite does not delete it"):
        run_simulation(short(), tmp_path, overwrite=True)
    (tmp_path / "config.yaml").unlink()
    for _ in range(2):
        run_simulation(short(steps=1), tmp_path / "run", overwrite=True)
    # The system "ethanol-gas" is built here: a folder of that name is none of the inputs.
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        run_simulation(short(steps=1), Path("ethanol-gas"), overwrite=True)
    frames = tmp_path / "run" / "frames.xyz"
    frames.write_text("precious")
    with pytest.raises(InputError, match=r"holds the input .*: name another output"):
        run_simulation(short(start_frames=str(frames)), tmp_path / "run", overwrite=True)
    assert frames.is_file()


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"dtype": "float32"}, "export again with --dtype float32"),
        ({"timestep": 50.0}, "timestep of at most"),
        ({"platform": "Abacus"}, "expected a platform of"),
        ({"device": "cuda", "platform": "CPU"}, "device"),
        ({"model": "absent.pt"}, "expected an exported model"),
        ({"start_frames": "absent.xyz"}, "found none"),
    ],
)
def test_refusals(short: MakeConfig, values: dict[str, object], match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        run_simulation(short(**values), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_coinciding_atoms_are_refused(short: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "two.pdb"
    line = "HETATM    {0}  H{0}  MOL A   1       1.000   1.000   1.000  1.00  0.00           H  \n"
    path.write_text(line.format(1) + line.format(2) + "END\n")
    with pytest.raises(InputError, match="H0 and H1 on top of each other"):
        run_simulation(short(system=str(path)), tmp_path / "run")
