"""Temperatures of all atoms and of each element, from velocities at the step."""

from dataclasses import dataclass

import numpy as np
from openmm import State, unit
from openmm.app import Simulation

from fisher_mlip.units import BOLTZMANN_KJ_PER_MOL_K
from openmm_plugin.kinetics import (
    FloatArray,
    IntArray,
    atomic_degrees_of_freedom,
    constrained_freedom,
    kinetic_energies,
    on_step_velocities,
    particle_masses,
)


@dataclass(frozen=True)
class Temperatures:
    """Temperatures of one step.

    Attributes:
        total: K, of all atoms.
        degrees_of_freedom: behind it.
        by_element: K.
        freedom_by_element: degrees of freedom behind them.
    """

    total: float
    degrees_of_freedom: float
    by_element: dict[str, float]
    freedom_by_element: dict[str, float]


class Thermometer:
    """Reads the temperatures of a simulation.

    An atom without element counts in the temperature of all atoms only.

    Args:
        simulation: whose masses, elements and integrator do not change.
        momentum_groups: (n_atoms,), groups of atoms whose total momentum is zero and stays so.
            None: three degrees of freedom for every atom. Constraints take one each.

    Attributes:
        symbols: the elements, in alphabetical order.
        masses: (n_atoms,), amu.
        degrees_of_freedom: of all atoms.
    """

    def __init__(self, simulation: Simulation, momentum_groups: IntArray | None = None) -> None:
        elements = [atom.element for atom in simulation.topology.atoms()]
        names = np.array(["" if element is None else element.symbol for element in elements])
        self.symbols = sorted(set(names.tolist()) - {""})
        self.masses = particle_masses(simulation.system)
        self._integrator = simulation.integrator
        freedom = atomic_degrees_of_freedom(self.masses, momentum_groups)
        freedom = freedom - constrained_freedom(simulation.system, self.masses)
        self.degrees_of_freedom = float(freedom.sum())
        self._members = [names == symbol for symbol in self.symbols]
        self._freedom_by_element = [float(freedom[members].sum()) for members in self._members]

    def read(self, state: State) -> list[float]:
        """Return the temperature of all atoms, then of each element, K.

        Args:
            state: with velocities, forces and energy.
        """
        total = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
        velocities = on_step_velocities(self._integrator, state, self.masses)
        by_element = self._by_element(kinetic_energies(velocities, self.masses))
        return [_temperature(total, self.degrees_of_freedom), *by_element]

    def of_velocities(self, velocities: FloatArray) -> Temperatures:
        """Return the temperatures of velocities as they are, (n_atoms, 3), nm/ps."""
        by_atom = kinetic_energies(velocities, self.masses)
        return Temperatures(
            _temperature(float(by_atom.sum()), self.degrees_of_freedom),
            self.degrees_of_freedom,
            dict(zip(self.symbols, self._by_element(by_atom), strict=True)),
            dict(zip(self.symbols, self._freedom_by_element, strict=True)),
        )

    def _by_element(self, by_atom: FloatArray) -> list[float]:
        return [
            _temperature(float(by_atom[members].sum()), freedom)
            for members, freedom in zip(self._members, self._freedom_by_element, strict=True)
        ]


def _temperature(kinetic_energy: float, degrees_of_freedom: float) -> float:
    """Return 2 K / (f k_B); zero where nothing is free to move."""
    if degrees_of_freedom < 1e-9:
        return 0.0
    return 2.0 * kinetic_energy / (degrees_of_freedom * BOLTZMANN_KJ_PER_MOL_K)
