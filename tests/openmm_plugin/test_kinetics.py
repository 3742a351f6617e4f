"""Kinetic energies at the step, against OpenMM and against velocity Verlet by hand."""

import numpy as np
import openmm
import pytest
from openmm.app import Simulation

from openmm_plugin.kinetics import (
    atomic_degrees_of_freedom,
    kinetic_energies,
    on_step_velocities,
    particle_masses,
)

from .conftest import MakeSprings

INTEGRATORS = {
    "verlet": lambda: openmm.VerletIntegrator(0.002),
    "variable verlet": lambda: openmm.VariableVerletIntegrator(1e-4),
    "langevin middle": lambda: openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.002),
    "langevin": lambda: openmm.LangevinIntegrator(300.0, 1.0, 0.002),
    "nose-hoover": lambda: openmm.NoseHooverIntegrator(300.0, 1.0, 0.002),
}


def _assert_adds_up(simulation: Simulation, integrator: openmm.Integrator) -> None:
    state = simulation.context.getState(velocities=True, forces=True, energy=True)
    masses = particle_masses(simulation.system)
    by_atom = kinetic_energies(on_step_velocities(integrator, state, masses), masses)
    assert by_atom.sum() == pytest.approx(state.getKineticEnergy()._value, rel=1e-12)


@pytest.mark.parametrize("name", INTEGRATORS)
def test_atoms_add_up_to_openmms_kinetic_energy(name: str, springs: MakeSprings) -> None:
    simulation = springs(INTEGRATORS[name]())
    simulation.step(5)
    _assert_adds_up(simulation, simulation.integrator)
    is_leapfrog = "verlet" in name
    wrong = INTEGRATORS["langevin middle" if is_leapfrog else "verlet"]()
    with pytest.raises(AssertionError):
        _assert_adds_up(simulation, wrong)


def test_degrees_of_freedom_of_drawn_velocities() -> None:
    """<m v^2> / k_B T of each atom, the momentum of its group removed, is its share."""
    masses = np.array([12.0, 1.0, 16.0, 12.0, 1.0])
    groups = np.array([0, 0, 0, 1, 1])
    drawn = np.random.default_rng(0).normal(size=(40000, 5, 3)) / np.sqrt(masses)[:, None]
    for group in (0, 1):
        chosen = groups == group
        momentum = (masses[chosen, None] * drawn[:, chosen]).sum(axis=1, keepdims=True)
        drawn[:, chosen] -= momentum / masses[chosen].sum()
    measured = (masses[:, None] * drawn**2).sum(axis=2).mean(axis=0)
    freedom = atomic_degrees_of_freedom(masses, groups)
    np.testing.assert_allclose(measured, freedom, atol=0.05)
    assert freedom.sum() == pytest.approx(3 * 5 - 3 * 2)
    assert np.abs(measured - atomic_degrees_of_freedom(masses, None)).max() > 0.5


def test_massless_particles_are_not_free() -> None:
    assert atomic_degrees_of_freedom(np.array([0.0, 1.0]), None).tolist() == [0.0, 3.0]
