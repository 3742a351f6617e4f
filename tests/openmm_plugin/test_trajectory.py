"""The DCD trajectory: unwrapped, without a cell that is not there, and loud on a full disk."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import mdtraj
import numpy as np
import openmm
import pytest
from openmm.app import Simulation, Topology, element

from fisher_mlip.errors import UnstableRunError
from openmm_plugin import UnwrappedDCDReporter


def _flight(n_atoms: int = 2) -> Simulation:
    """Free hydrogens that leave a box of 1 nm at 1 nm/ps."""
    topology, system = Topology(), openmm.System()
    residue = topology.addResidue("MOL", topology.addChain())
    no_bonds = openmm.HarmonicBondForce()
    no_bonds.setUsesPeriodicBoundaryConditions(True)
    for index in range(n_atoms):
        topology.addAtom(f"H{index}", element.hydrogen, residue)
        system.addParticle(1.0)
    system.addForce(no_bonds)
    system.setDefaultPeriodicBoxVectors(*np.eye(3))
    topology.setUnitCellDimensions((1.0, 1.0, 1.0))
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = Simulation(topology, system, openmm.VerletIntegrator(0.1), platform)
    simulation.context.setPositions(np.full((n_atoms, 3), 0.5))
    simulation.context.setVelocities(np.tile([1.0, 0.0, 0.0], (n_atoms, 1)))
    return simulation


@pytest.mark.parametrize("periodic", [True, False])
def test_positions_are_unwrapped(periodic: bool, tmp_path: Path) -> None:
    simulation = _flight()
    path = tmp_path / "trajectory.dcd"
    simulation.reporters.append(UnwrappedDCDReporter(path, 10, periodic=periodic))
    simulation.step(30)
    trajectory = mdtraj.load_dcd(str(path), top=mdtraj.Topology.from_openmm(simulation.topology))
    np.testing.assert_allclose(trajectory.xyz[:, 0, 0], [1.5, 2.5, 3.5], atol=1e-5)
    assert (trajectory.unitcell_lengths is not None) == periodic


def test_a_lost_atom_stops_the_run(tmp_path: Path) -> None:
    simulation = _flight()
    simulation.reporters.append(UnwrappedDCDReporter(tmp_path / "t.dcd", 1, periodic=True))
    simulation.context.setVelocities(np.full((2, 3), np.nan))
    with pytest.raises(UnstableRunError, match="step 1 is not finite"):
        simulation.step(1)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files end at 20 kB, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    simulation = _flight(500)
    simulation.reporters.append(UnwrappedDCDReporter(tmp_path / "t.dcd", 1, periodic=True))
    with pytest.raises(OSError, match="cannot write the trajectory"):
        simulation.step(10)
