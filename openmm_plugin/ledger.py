"""The drift ledger: energies, temperatures and the largest force, float64, every so many steps."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from openmm import (
    MonteCarloAnisotropicBarostat,
    MonteCarloBarostat,
    MonteCarloFlexibleBarostat,
    NoseHooverIntegrator,
    State,
    unit,
)
from openmm.app import Simulation

from fisher_mlip.errors import UnstableRunError
from fisher_mlip.units import (
    G_PER_CM3_PER_AMU_PER_ANGSTROM3,
    KJ_PER_MOL_PER_EV,
    NM_PER_ANGSTROM,
)
from openmm_plugin.drift import CONSERVED, DriftLine, last_value
from openmm_plugin.kinetics import FloatArray, IntArray
from openmm_plugin.rows import RowReporter
from openmm_plugin.thermometer import Thermometer

SECONDS_PER_DAY = 86400.0
MEV_PER_KJ_PER_MOL = 1000.0 / KJ_PER_MOL_PER_EV
DRIFT = "Drift (meV/atom/ps)"
REBUILDS = "List Rebuilds"
BAROSTATS = (MonteCarloAnisotropicBarostat, MonteCarloBarostat, MonteCarloFlexibleBarostat)


class LedgerReporter(RowReporter):
    """Writes energies, temperatures by element, volume, density, largest force, drift and speed.

    Kinetic energies are those at the step, also for a leapfrog. Volume and density are there for
    periodic systems only. The drift is the slope of the least-squares line through the total
    energies of all rows so far, per atom, NaN in the first row; under a Nosé-Hoover integrator and
    no barostat it is that of the conserved energy, total and heat bath, which has a column then.
    Under noise or a barostat nothing is conserved, and the drift is a trend of the total energy.
    The speed is that since the first row of this process, NaN in it. When appending, the drift is
    rebuilt from the rows in the file, to the last bit, and the rebuilds of the neighbor list are
    counted on from the last row.

    Args:
        file: path of the CSV file.
        interval: steps between rows.
        append: go on with a file that has its header and its row of the current step.
        momentum_groups: (n_atoms,), groups of atoms whose total momentum is zero and stays so; it
            decides the degrees of freedom of the temperatures. None: three for every atom.
        drift_after: step after whose row velocities were drawn anew or the potential is another,
            when appending: the drift is of later rows.
        list_rebuilds: returns how often the potential has rebuilt its neighbor list in this
            process; None for no such column. A resumed run rebuilds it once more at its start.

    Raises:
        InputError: the file to append to has no rows to go on from.

    Attributes:
        last_finite: positions of the last row, (n_atoms, 3), nm; None before the first.
        last_finite_step: step of the last row; -1 before the first.
    """

    def __init__(
        self,
        file: str | Path,
        interval: int,
        *,
        append: bool = False,
        momentum_groups: IntArray | None = None,
        drift_after: int = -1,
        list_rebuilds: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(file, interval, append=append)
        self._drift = DriftLine()
        self._list_rebuilds = list_rebuilds
        self._rebuilds_before = 0
        if append:
            self._drift.add_rows_of(Path(file), drift_after)
            if list_rebuilds is not None:
                self._rebuilds_before = int(last_value(Path(file), REBUILDS)) - list_rebuilds()
        self._momentum_groups = momentum_groups
        self._thermometer: Thermometer | None = None
        self._bath: bool | None = None
        self._appends = append
        self._first: tuple[float, float] | None = None
        self.last_finite: FloatArray | None = None
        self.last_finite_step = -1

    def header(self, simulation: Simulation) -> list[str]:
        """Return the column names after step and time."""
        symbols = self._thermometer_of(simulation).symbols
        energies = [f"{kind} Energy (kJ/mole)" for kind in ("Potential", "Kinetic", "Total")]
        energies += [CONSERVED] if self._has_heat_bath(simulation) else []
        temperatures = ["Temperature (K)", *(f"Temperature {symbol} (K)" for symbol in symbols)]
        box = ["Box Volume (nm^3)", "Density (g/mL)"] if _is_periodic(simulation) else []
        rebuilds = [] if self._list_rebuilds is None else [REBUILDS]
        last = ["Max Force (kJ/mole/nm)", DRIFT, *rebuilds, "Speed (ns/day)"]
        return [*energies, *temperatures, *box, *last]

    def values(self, simulation: Simulation, state: State) -> list[float]:
        """Return the numbers of the columns after step and time.

        Raises:
            UnstableRunError: the energy is not finite.
        """
        potential = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
        kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
        if not np.isfinite(potential + kinetic):
            raise UnstableRunError(
                f"energy at step {simulation.currentStep} is not finite (potential {potential} "
                f"kJ/mol, kinetic {kinetic} kJ/mol); last finite row: step {self.last_finite_step}"
            )
        self.last_finite = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        self.last_finite_step = simulation.currentStep
        thermometer = self._thermometer_of(simulation)
        box = _volume_and_density(state, thermometer.masses) if _is_periodic(simulation) else []
        energies = [potential, kinetic, potential + kinetic]
        if self._has_heat_bath(simulation):
            energies.append(potential + kinetic + self._heat_bath(simulation))
        self._drift.add(state.getTime().value_in_unit(unit.picosecond), energies[-1])
        drift = self._drift.slope * MEV_PER_KJ_PER_MOL / len(thermometer.masses)
        last = [_max_force(state), drift, *self._rebuilds(), self._speed(state)]
        return [*energies, *thermometer.read(state), *box, *last]

    def _has_heat_bath(self, simulation: Simulation) -> bool:
        """Whether the energies of system and heat bath together are conserved."""
        if self._bath is None:
            barostats = any(isinstance(f, BAROSTATS) for f in simulation.system.getForces())
            self._bath = isinstance(simulation.integrator, NoseHooverIntegrator) and not barostats
        return self._bath

    def _heat_bath(self, simulation: Simulation) -> float:
        """Return the energy of the heat bath, kJ/mol; NaN where it cannot be asked for.

        OpenMM 8.6 ends the process over a bath that has not made a step yet: at step 0 it has no
        energy, and in the first row of a simulation that begins at another step it is not known.
        """
        if self._first is None and not self._appends:
            return 0.0 if simulation.currentStep == 0 else float("nan")
        return float(
            simulation.integrator.computeHeatBathEnergy().value_in_unit(unit.kilojoule_per_mole)
        )

    def _rebuilds(self) -> list[float]:
        if self._list_rebuilds is None:
            return []
        return [float(self._rebuilds_before + self._list_rebuilds())]

    def _thermometer_of(self, simulation: Simulation) -> Thermometer:
        if self._thermometer is None:
            self._thermometer = Thermometer(simulation, self._momentum_groups)
        return self._thermometer

    def _speed(self, state: State) -> float:
        """Return ns/day of this process."""
        now = time.perf_counter()
        nanoseconds = state.getTime().value_in_unit(unit.nanosecond)
        if self._first is None:
            self._first = (now, nanoseconds)
            return float("nan")
        return float((nanoseconds - self._first[1]) * SECONDS_PER_DAY / (now - self._first[0]))


def _is_periodic(simulation: Simulation) -> bool:
    return bool(simulation.system.usesPeriodicBoundaryConditions())


def _max_force(state: State) -> float:
    force_unit = unit.kilojoule_per_mole / unit.nanometer
    forces = np.asarray(state.getForces(asNumpy=True).value_in_unit(force_unit))
    with np.errstate(over="ignore"):
        return float(np.linalg.norm(forces, axis=1).max())


def _volume_and_density(state: State, masses: FloatArray) -> list[float]:
    """Return nm^3 and g/mL."""
    volume = state.getPeriodicBoxVolume().value_in_unit(unit.nanometer**3)
    amu_per_cubic_angstrom = masses.sum() / volume * NM_PER_ANGSTROM**3
    return [volume, float(amu_per_cubic_angstrom) * G_PER_CM3_PER_AMU_PER_ANGSTROM3]
