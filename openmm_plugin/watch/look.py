"""What a watch sees of a simulation at one step, in eV, Å and fs."""

from dataclasses import dataclass

import numpy as np
from openmm import State, unit
from openmm.app import Simulation

from fisher_mlip.units import KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM, KJ_PER_MOL_PER_EV
from openmm_plugin.kinetics import FloatArray
from openmm_plugin.thermometer import Temperatures, Thermometer

ANGSTROM_PER_FS_PER_NM_PER_PS = 0.01


@dataclass(frozen=True, eq=False)
class Look:
    """One step of a simulation.

    Attributes:
        step: its number.
        time_ps: its time.
        positions: (n_atoms, 3), Å, as integrated.
        velocities: (n_atoms, 3), Å/fs, as the integrator keeps them (a leapfrog: half a step ago).
        cell: (3, 3), Å, rows are vectors; None where not periodic.
        temperatures: of those velocities.
        forces: (n_atoms, 3), eV/Å; None where they were not asked for.
        total_energy: potential and on-step kinetic energy, eV; None where it was not asked for.
    """

    step: int
    time_ps: float
    positions: FloatArray
    velocities: FloatArray
    cell: FloatArray | None
    temperatures: Temperatures
    forces: FloatArray | None = None
    total_energy: float | None = None

    @property
    def n_atoms(self) -> int:
        return len(self.positions)


def look_at(
    simulation: Simulation, state: State, thermometer: Thermometer, *, with_forces: bool
) -> Look:
    """Read a state.

    Args:
        simulation: at the step.
        state: with positions and velocities; with forces and energy where `with_forces`.
        thermometer: of the simulation.
        with_forces: whether to read forces and energies.
    """
    is_periodic = simulation.system.usesPeriodicBoundaryConditions()
    velocities = np.array(
        state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond)
    )
    with np.errstate(all="ignore"):
        temperatures = thermometer.of_velocities(velocities)
    return Look(
        simulation.currentStep,
        state.getTime().value_in_unit(unit.picosecond),
        np.array(state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)),
        velocities * ANGSTROM_PER_FS_PER_NM_PER_PS,
        np.array(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom))
        if is_periodic
        else None,
        temperatures,
        _forces(state) if with_forces else None,
        _total_energy(state) if with_forces else None,
    )


def _forces(state: State) -> FloatArray:
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return np.array(forces) / KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM


def _total_energy(state: State) -> float:
    total = state.getPotentialEnergy() + state.getKineticEnergy()
    return float(total.value_in_unit(unit.kilojoule_per_mole)) / KJ_PER_MOL_PER_EV
