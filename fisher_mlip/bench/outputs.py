"""What each output of a run costs: one of it, by calling its reporter."""

from collections.abc import Callable
from typing import Any

from fisher_mlip.bench.result import Output
from fisher_mlip.bench.steps import intervals_of
from fisher_mlip.bench.timing import repeated, timed, timing_of
from fisher_mlip.simulate.driving import Run, advance
from fisher_mlip.simulate.integrators import renew
from openmm_plugin.rows import RowReporter

ROUNDS = 7
# Of one output: a row of uncertainties takes as long as some 12 to 32 steps.
LONGEST_S = 5.0


def time_outputs(run: Run) -> tuple[Output, ...]:
    """Return the outputs of a run with what one of each costs, OpenMM's State for it included.

    A State with forces and energy, as the ledger's, is an evaluation of the model. Where two
    outputs fall on one step they share a State, which is counted for each here.

    Args:
        run: after some steps; goes on by a few.
    """
    intervals = intervals_of(run.config, has_molecules=run.reporters.molecules is not None)
    found = _time_reporters(run)
    found["checkpoint"] = repeated(
        lambda: _checkpoint(run), at_least=3, at_most=5, budget_s=LONGEST_S, warm_up=1
    )
    return tuple(
        Output(name, option, interval, timing_of(found[name]))
        for name, (option, interval) in intervals.items()
    )


def _checkpoint(run: Run) -> None:
    run.save()
    renew(run.simulation, run.config, run.noise_seed)


def _time_reporters(run: Run) -> dict[str, list[float]]:
    """Return the seconds of each reporter's calls, the first of several left out."""
    reporters, simulation = run.reporters, run.simulation
    named: dict[str, Any] = {
        "ledger": reporters.ledger,
        "molecules": reporters.molecules,
        "uncertainty": reporters.uncertainty,
        "trajectory": reporters.trajectory,
        "watch": reporters.watch,
    }
    found: dict[str, list[float]] = {name: [] for name, one in named.items() if one is not None}
    attached, simulation.reporters = simulation.reporters, []
    try:
        for _ in range(ROUNDS):
            # Rows of a step that has a row already would be none of a run.
            advance(run)
            for name, times in found.items():
                if sum(times) < LONGEST_S:
                    times.append(timed(_report(run, named[name])))
    finally:
        simulation.reporters = attached
    return {name: times[1:] or times for name, times in found.items()}


def _report(run: Run, reporter: Any) -> Callable[[], None]:
    simulation = run.simulation
    groups = simulation.integrator.getIntegrationForceGroups()
    needed = ["positions"]
    if isinstance(reporter, RowReporter):
        needed = reporter.needs(simulation.currentStep)

    def report() -> None:
        wanted = dict.fromkeys(needed, True)
        state = simulation.context.getState(groups=groups, parameters=True, **wanted)
        reporter.report(simulation, state)

    return report
