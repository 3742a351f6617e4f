"""A variant -> its energies over the segment, and when a bond broke."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from openmm import OpenMMException

from fisher_mlip.analysis.table import read_table
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.diagnose.state import StartState
from fisher_mlip.diagnose.variants import Variant
from fisher_mlip.errors import UnstableRunError
from fisher_mlip.interruption import noted_interruption
from fisher_mlip.simulate.engine import PotentialSimulation, build_simulation, context_forces
from fisher_mlip.simulate.integrators import PS_PER_FS, momentum_groups, starts_half_a_step_back
from fisher_mlip.simulate.velocities import half_step_back
from fisher_mlip.units import KJ_PER_MOL_PER_EV, NM_PER_ANGSTROM
from openmm_plugin import LedgerReporter
from openmm_plugin.thermometer import Thermometer
from openmm_plugin.watch import BondDeviation
from openmm_plugin.watch.look import look_at

_MEV_PER_KJ_PER_MOL = 1000.0 / KJ_PER_MOL_PER_EV
_TIMED_STEPS = 5


@dataclass(frozen=True, eq=False)
class SegmentEnergies:
    """What a segment came to.

    Attributes:
        name: of the variant.
        time_ps: (n_rows,), from the segment's start.
        total: (n_rows,), meV/atom, minus the start.
        kinetic_std: meV/atom.
        broken_ps: of the first row with a bond 0.5 Å off its length at the start; None for none.
        nonfinite_ps: when an energy ceased to be finite; None for never.
    """

    name: str
    time_ps: FloatArray
    total: FloatArray
    kinetic_std: float
    broken_ps: float | None
    nonfinite_ps: float | None


def prepared(start: StartState, variant: Variant) -> PotentialSimulation:
    """Return a variant's simulation at the start state."""
    config = variant.config
    simulation = build_simulation(start.molecular, variant.artefact, config, config.seed, 0)
    _place(simulation, start, variant)
    return simulation


def seconds_per_step(simulation: PotentialSimulation, start: StartState, variant: Variant) -> float:
    """Return what a step takes, from a few that are taken back."""
    try:
        simulation.step(2)
        began = time.perf_counter()
        simulation.step(_TIMED_STEPS)
        seconds = (time.perf_counter() - began) / _TIMED_STEPS
    except OpenMMException:
        seconds = 0.0
    _place(simulation, start, variant)
    return seconds


def _place(simulation: PotentialSimulation, start: StartState, variant: Variant) -> None:
    context, config = simulation.context, variant.config
    context.setTime(0.0)
    context.setStepCount(0)
    context.setPositions(start.molecular.positions * NM_PER_ANGSTROM)
    velocities = start.velocities
    if starts_half_a_step_back(config):
        forces = context_forces(context)
        step = config.timestep * PS_PER_FS
        velocities = half_step_back(velocities, forces, start.molecular.masses, step)
    context.setVelocities(velocities)


def run_segment(
    simulation: PotentialSimulation,
    start: StartState,
    variant: Variant,
    ledger: Path,
    advance: Callable[[int], None],
) -> SegmentEnergies:
    """Run a variant to its end, or to where its energy ceases to be finite.

    Args:
        simulation: of `prepared`.
        start: of all variants.
        variant: what to run.
        ledger: the CSV to write, float64.
        advance: is told the steps done.

    Raises:
        KeyboardInterrupt: a signal asked to stop.
    """
    config = variant.config
    groups = momentum_groups(start.molecular, config)
    reporter = LedgerReporter(ledger, config.report_interval, momentum_groups=groups)
    simulation.reporters.append(reporter)
    bonds = BondDeviation(start.molecular.topology)
    thermometer = Thermometer(simulation, groups)
    broken: float | None = None
    nonfinite: float | None = None
    step_ps = config.timestep * PS_PER_FS
    with noted_interruption() as interruption:
        while simulation.currentStep < config.steps:
            state = simulation.context.getState(positions=True, velocities=True)
            look = look_at(simulation, state, thermometer, with_forces=False)
            if broken is None and not bonds.measure(look) <= bonds.threshold:
                broken = simulation.currentStep * step_ps
            if interruption.wanted:
                raise KeyboardInterrupt("stopped: a diagnosis that is cut off leaves nothing")
            try:
                simulation.step(config.report_interval)
            except (UnstableRunError, OpenMMException) as failure:
                if isinstance(failure, OpenMMException) and "nan" not in str(failure).lower():
                    raise
                nonfinite = simulation.currentStep * step_ps
                break
            advance(config.report_interval)
    reporter.close()
    return _read(variant.name, ledger, start, broken, nonfinite)


def _read(
    name: str, ledger: Path, start: StartState, broken: float | None, nonfinite: float | None
) -> SegmentEnergies:
    table = read_table(ledger)
    scale = _MEV_PER_KJ_PER_MOL / len(start.molecular.positions)
    total = table.column("Total Energy (kJ/mole)")
    kinetic = table.column("Kinetic Energy (kJ/mole)")
    return SegmentEnergies(
        name,
        table.column("Time (ps)"),
        np.asarray((total - total[0]) * scale),
        float(kinetic.std() * scale),
        broken,
        nonfinite,
    )
