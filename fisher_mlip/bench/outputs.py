"""What each output of a run costs: one of it, from its reporter's calls."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from openmm import State

from fisher_mlip.bench.result import Output
from fisher_mlip.bench.steps import Steps, intervals_of, reporters_of
from fisher_mlip.bench.timing import Timing, repeated, timed, timing_of
from fisher_mlip.simulate.driving import Run, advance
from fisher_mlip.simulate.integrators import renew
from openmm_plugin.rows import RowReporter

ROUNDS = 7
# Calls in the timed steps that are enough.
FEWEST = 3
# Of one output: a row of uncertainties takes as long as some 12 to 32 steps.
LONGEST_S = 5.0


def time_outputs(run: Run, steps: Steps, model: Timing) -> tuple[Output, ...]:
    """Return the outputs of a run with what one of each costs, OpenMM's State for it included.

    Reporters' calls are those of the timed steps, where there were some, else made here. The forces
    and the energy that the ledger asks for are an evaluation of the model; other reporters that
    fall on its step find them there.

    Args:
        run: after the timed steps; goes on by a few.
        steps: that were timed.
        model: an evaluation, ms.
    """
    intervals = intervals_of(run.config, has_molecules=run.reporters.molecules is not None)
    found = {name: times for name, times in steps.reports.items() if len(times) >= FEWEST}
    found |= _time_reporters(run, [name for name in steps.reports if name not in found])
    state = timing_of(repeated(lambda: _plain_state(run), at_most=20)).median
    states = dict.fromkeys(found, state) | {"ledger": model.median, "checkpoint": 0.0}
    found["checkpoint"] = repeated(
        lambda: _checkpoint(run), at_least=3, at_most=5, budget_s=LONGEST_S, warm_up=1
    )
    return tuple(
        Output(name, option, interval, timing_of(found[name]).shifted(states[name]))
        for name, (option, interval) in intervals.items()
    )


def _plain_state(run: Run) -> None:
    run.simulation.context.getState(positions=True, velocities=True, parameters=True)


def _checkpoint(run: Run) -> None:
    run.save()
    renew(run.simulation, run.config, run.noise_seed)


def _time_reporters(run: Run, names: Sequence[str]) -> dict[str, list[float]]:
    """Return the seconds of some reporters' calls, the first of several left out."""
    reporters, simulation = reporters_of(run), run.simulation
    found: dict[str, list[float]] = {name: [] for name in names}
    attached, simulation.reporters = simulation.reporters, []
    try:
        for _ in range(ROUNDS if names else 0):
            # Rows of a step that has a row already would be none of a run.
            advance(run)
            for name, times in found.items():
                if sum(times) < LONGEST_S:
                    state = _state_for(run, reporters[name])
                    times.append(timed(partial(reporters[name].report, simulation, state)))
    finally:
        simulation.reporters = attached
    return {name: times[1:] or times for name, times in found.items()}


def _state_for(run: Run, reporter: Any) -> State:
    simulation = run.simulation
    needed = ["positions"]
    if isinstance(reporter, RowReporter):
        needed = reporter.needs(simulation.currentStep)
    groups = simulation.integrator.getIntegrationForceGroups()
    return simulation.context.getState(
        groups=groups, parameters=True, **dict.fromkeys(needed, True)
    )
