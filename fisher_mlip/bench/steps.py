"""The steps of a whole run, timed one by one, and what fell on each of them."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fisher_mlip.bench.result import NS_PER_FS, SECONDS_PER_DAY, Output
from fisher_mlip.bench.timing import Timing, timed, timing_of
from fisher_mlip.config import SimulateConfig
from fisher_mlip.simulate.driving import Run, advance
from fisher_mlip.simulate.engine import context_forces
from fisher_mlip.simulate.progress import shown_progress

# Long enough for medians, short enough to wait for.
SECONDS = 20.0
FEWEST_STEPS = 20
WARM_UP_STEPS = 5
# Of the model alone, about, between the steps.
CALLS = 50

Kind = tuple[frozenset[str], int]


@dataclass(frozen=True)
class Steps:
    """Timed steps.

    Attributes:
        seconds: of each.
        kinds: what was written at each, and how often its list was built.
        calls: seconds of calls of the model between them, the list kept.
        built_between: how often such a call, which is left out, built the list for the next step.
        reports: seconds of each reporter's calls in these steps, OpenMM's State aside.
    """

    seconds: tuple[float, ...]
    kinds: tuple[Kind, ...]
    calls: tuple[float, ...] = ()
    built_between: int = 0
    reports: dict[str, list[float]] = field(default_factory=dict)

    @property
    def rebuilds(self) -> float:
        """Of the list, per step."""
        return (self.built_between + sum(built for _, built in self.kinds)) / len(self.kinds)

    def of_a_long_run(self, outputs: Mapping[str, Output], building: Timing) -> Timing:
        """Return ms per step of a run in which each output has its own frequency.

        The mean over kinds of steps of their medians: one step that something else held up changes
        nothing. An output that fell on too few of these steps, or on none, is added by its cost.

        Args:
            outputs: by name.
            building: of the list, once.
        """
        by_kind = defaultdict(list)
        for seconds, kind in zip(self.seconds, self.kinds, strict=True):
            by_kind[kind].append(seconds)
        count = len(self.seconds)
        found = [(len(times) / count, timing_of(times)) for times in by_kind.values()]
        means = [
            sum(weight * getattr(timing, name) for weight, timing in found)
            for name in ("median", "lower", "upper")
        ]
        missing = sum(
            output.once.median * (1.0 / output.interval - self._frequency(name))
            for name, output in outputs.items()
        )
        missing += building.median * self.built_between / count
        return Timing(*means).shifted(missing)

    def _frequency(self, name: str) -> float:
        return sum(name in written for written, _ in self.kinds) / len(self.kinds)


def intervals_of(config: SimulateConfig, *, has_molecules: bool) -> dict[str, tuple[str, int]]:
    """Return what a run writes: the option of each interval, and the interval."""
    report = ("--report-interval", config.report_interval)
    found = {
        "ledger": report,
        "trajectory": ("--trajectory-interval", config.trajectory_interval),
        "checkpoint": ("--checkpoint-interval", config.checkpoint_interval),
    }
    if has_molecules:
        found["molecules"] = report
    if config.watch.enabled:
        found["watch"] = ("--watch-interval", config.watch.interval)
    if config.uncertainty_interval:
        found["uncertainty"] = ("--uncertainty-interval", config.uncertainty_interval)
    return found


def reporters_of(run: Run) -> dict[str, Any]:
    """Return the reporters of a run by the names of what they write."""
    reporters = run.reporters
    named = {
        "ledger": reporters.ledger,
        "molecules": reporters.molecules,
        "uncertainty": reporters.uncertainty,
        "trajectory": reporters.trajectory,
        "watch": reporters.watch,
    }
    return {name: reporter for name, reporter in named.items() if reporter is not None}


@contextmanager
def _timed_reports(run: Run) -> Iterator[dict[str, list[float]]]:
    """Yield the seconds of the reporters' calls inside the block, as they come."""
    found: dict[str, list[float]] = {}
    reporters = reporters_of(run)

    def timed_report(report: Callable[..., None], times: list[float]) -> Callable[..., None]:
        return lambda *arguments: times.append(timed(lambda: report(*arguments)))

    for name, reporter in reporters.items():
        found[name] = []
        reporter.report = timed_report(reporter.report, found[name])
    try:
        yield found
    finally:
        for reporter in reporters.values():
            del reporter.report


def time_steps(run: Run, steps: int | None, go_on: Callable[[], None] = lambda: None) -> Steps:
    """Step a run with everything that it writes, and time each step; between them, the model alone.

    What disturbs a machine for a while then disturbs both.

    Args:
        run: at its start; its configuration asks for more steps than are made.
        steps: how many after the warm-up; None: as many as take about 20 s, at least 20.
        go_on: is called at each step.

    Raises:
        UnstableRunError: a number is not finite.
    """
    warm_up = [timed(lambda: advance(run)) for _ in range(WARM_UP_STEPS)]
    if steps is None:
        steps = max(FEWEST_STEPS, int(SECONDS / float(np.median(warm_up))))
    intervals = intervals_of(run.config, has_molecules=run.reporters.molecules is not None)
    list_rebuilds = run.simulation.potential.list_rebuilds
    per_day = run.config.timestep * NS_PER_FS * SECONDS_PER_DAY
    seconds: list[float] = []
    kinds: list[Kind] = []
    calls: list[float] = []
    between = 0
    every_call = max(1, steps // CALLS)
    with shown_progress("steps", 0, steps) as show, _timed_reports(run) as reports:
        for step in range(1, steps + 1):
            go_on()
            before = list_rebuilds()
            seconds.append(timed(lambda: advance(run)))
            current = run.simulation.currentStep
            written = {name for name, (_, every) in intervals.items() if current % every == 0}
            kinds.append((frozenset(written), list_rebuilds() - before))
            if step % every_call == 0:
                before = list_rebuilds()
                call = timed(lambda: context_forces(run.simulation.context))
                built = list_rebuilds() - before
                between += built
                calls += [] if built else [call]
            show(step, per_day * step / sum(seconds))
    return Steps(tuple(seconds), tuple(kinds), tuple(calls), between, reports)
