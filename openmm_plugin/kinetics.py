"""Velocities and degrees of freedom at the step, where energies are."""

from typing import Any

import numpy as np
import numpy.typing as npt
from openmm import Integrator, State, System, VariableVerletIntegrator, VerletIntegrator, unit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def particle_masses(system: System) -> FloatArray:
    """Return the masses of a System's particles, (n_atoms,), amu."""
    masses = [
        system.getParticleMass(index).value_in_unit(unit.dalton)
        for index in range(system.getNumParticles())
    ]
    return np.array(masses, dtype=np.float64)


def on_step_velocities(integrator: Integrator, state: State, masses: FloatArray) -> FloatArray:
    """Return the velocities at the time of the positions.

    OpenMM's Verlet integrators are leapfrogs and keep v(t - dt/2): half a step of acceleration is
    added. Its thermostats keep velocities of which the kinetic energy is reported as they are.
    So the kinetic energies of any atoms add up to `state.getKineticEnergy()`.

    Args:
        integrator: of the simulation.
        state: with velocities and forces.
        masses: (n_atoms,), amu.

    Returns:
        (n_atoms, 3), nm/ps.

    Source:
        Leapfrog: v(t) = v(t - dt/2) + F(t)/m dt/2.
    """
    velocities = _values(state.getVelocities(asNumpy=True))
    if not isinstance(integrator, VerletIntegrator | VariableVerletIntegrator):
        return velocities
    timestep = integrator.getStepSize().value_in_unit(unit.picosecond)
    forces = _values(state.getForces(asNumpy=True))
    moves = masses > 0.0
    velocities[moves] += 0.5 * timestep * forces[moves] / masses[moves, None]
    return velocities


def kinetic_energies(velocities: FloatArray, masses: FloatArray) -> FloatArray:
    """Return each atom's kinetic energy, (n_atoms,), kJ/mol, from nm/ps and amu.

    It is infinite for a run that has blown up; who asks for it looks at that.
    """
    with np.errstate(over="ignore"):
        return np.asarray(0.5 * masses * np.square(velocities).sum(axis=1))


def atomic_degrees_of_freedom(masses: FloatArray, momentum_groups: IntArray | None) -> FloatArray:
    """Return how many degrees of freedom each atom carries.

    A group of atoms whose total momentum is zero has three fewer than three per atom, and an
    atom's share of the loss is its share of the mass: <m_i v_i^2> = 3 k_B T (1 - m_i / M).

    Args:
        masses: (n_atoms,), amu.
        momentum_groups: (n_atoms,), index of the group of zero momentum that an atom belongs to;
            None where no momentum is held at zero.

    Returns:
        (n_atoms,), between 0 and 3.
    """
    freedom = np.where(masses > 0.0, 3.0, 0.0)
    if momentum_groups is None:
        return freedom
    group_masses = np.bincount(momentum_groups, weights=masses)
    return np.asarray(freedom * (1.0 - masses / group_masses[momentum_groups]))


def constrained_freedom(system: System, masses: FloatArray) -> FloatArray:
    """Return the degrees of freedom that a System's constraints take from each atom, (n_atoms,).

    A constraint takes one: the motion of two atoms against each other, of whose kinetic energy the
    lighter one has the larger part, m_j / (m_i + m_j) for atom i.
    """
    taken = np.zeros(len(masses))
    for index in range(system.getNumConstraints()):
        i, j, _ = system.getConstraintParameters(index)
        both = masses[i] + masses[j]
        if both > 0.0:
            taken[i] += masses[j] / both
            taken[j] += masses[i] / both
    return taken


def _values(quantity: Any) -> FloatArray:
    return np.array(quantity.value_in_unit_system(unit.md_unit_system), dtype=np.float64)
