"""Total energy under leapfrog in the real OpenMM: its fluctuation falls as the step squared."""

import numpy as np
import openmm
import pytest
from openmm import app, unit

from fisher_mlip.data.ethanol import ethanol_topology
from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.export import Artefact, write_artefact
from fisher_mlip.model import Checkpoint
from fisher_mlip.simulate.velocities import half_step_back, maxwell_boltzmann
from openmm_plugin import torch_force

DURATION_PS = 0.04


@pytest.fixture(scope="module")
def double(fitted_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_artefact(tmp_path_factory.mktemp("nve"), fitted_checkpoint, "float64")


def total_energies(
    artefact: Artefact, positions: FloatArray, timestep_ps: float, *, scaled_forces: float = 1.0
) -> FloatArray:
    """Return kinetic + potential energy in kJ/mol after every step, from one and the same start.

    `scaled_forces` adds a constant force field that the energy does not know of: non-conservative
    as far as the ledger can see.
    """
    topology = ethanol_topology(1)
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    system.addForce(torch_force(artefact, topology))
    if scaled_forces != 1.0:
        system.addForce(_unseen_pull(topology, scaled_forces))
    integrator = openmm.VerletIntegrator(timestep_ps)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions * 0.1)
    masses = np.array([atom.element.mass.value_in_unit(unit.dalton) for atom in topology.atoms()])
    forces = context.getState(getForces=True).getForces(asNumpy=True)
    start = maxwell_boltzmann(masses, 100.0, np.zeros(len(masses), dtype=np.int64), seed=0)
    plain = np.asarray(forces.value_in_unit(unit.kilojoule_per_mole / unit.nanometer))
    context.setVelocities(half_step_back(start, plain, masses, timestep_ps))
    energies = []
    for _ in range(round(DURATION_PS / timestep_ps)):
        integrator.step(1)
        state = context.getState(getEnergy=True, groups={0})
        total = state.getPotentialEnergy() + state.getKineticEnergy()
        energies.append(total.value_in_unit(unit.kilojoule_per_mole))
    return np.array(energies)


def _unseen_pull(topology: app.Topology, strength: float) -> openmm.Force:
    pull = openmm.CustomExternalForce("-pull*x")
    pull.addGlobalParameter("pull", 200.0 * (strength - 1.0))
    for atom in topology.atoms():
        pull.addParticle(atom.index)
    pull.setForceGroup(1)
    return pull


def fluctuation(energies: FloatArray) -> float:
    return float(np.abs(energies - energies[0]).max())


def assert_falls_with_the_step_squared(coarse: FloatArray, fine: FloatArray) -> None:
    ratio = fluctuation(coarse) / fluctuation(fine)
    assert 3.4 < ratio < 4.6, ratio


def test_fluctuation_falls_fourfold_when_the_step_is_halved(
    double: Artefact, ethanol_frames: Frames
) -> None:
    runs = [total_energies(double, ethanol_frames[0].positions, dt) for dt in (4e-4, 2e-4, 1e-4)]
    kinetic_scale = 0.5 * 24 * 0.0083145 * 100.0
    assert fluctuation(runs[-1]) < 0.05 * kinetic_scale
    assert_falls_with_the_step_squared(runs[0], runs[1])
    assert_falls_with_the_step_squared(runs[1], runs[2])


def test_sabotage_a_force_that_the_energy_does_not_know_is_caught(
    double: Artefact, ethanol_frames: Frames
) -> None:
    runs = [
        total_energies(double, ethanol_frames[0].positions, dt, scaled_forces=1.01)
        for dt in (2e-4, 1e-4)
    ]
    with pytest.raises(AssertionError):
        assert_falls_with_the_step_squared(*runs)
