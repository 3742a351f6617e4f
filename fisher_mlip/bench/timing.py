"""Repeated calls -> their median and quartiles."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

MS_PER_S = 1000.0
# Of one measurement, s.
BUDGET_S = 2.0
MOST_CALLS = 200


@dataclass(frozen=True)
class Timing:
    """How long something takes, ms.

    Attributes:
        median: of the calls.
        lower: quartile.
        upper: quartile.
    """

    median: float
    lower: float
    upper: float

    def scaled(self, factor: float) -> "Timing":
        """Return what happens `factor` times."""
        return Timing(self.median * factor, self.lower * factor, self.upper * factor)

    def shifted(self, ms: float) -> "Timing":
        """Return what takes so much longer."""
        return Timing(self.median + ms, self.lower + ms, self.upper + ms)


NOTHING = Timing(0.0, 0.0, 0.0)


def timing_of(seconds: Sequence[float]) -> Timing:
    """Return the quartiles of times in s, as ms."""
    lower, median, upper = np.quantile(np.array(seconds) * MS_PER_S, [0.25, 0.5, 0.75]).tolist()
    return Timing(median, lower, upper)


def timed(call: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def repeated(
    call: Callable[[], object],
    *,
    at_least: int = 5,
    at_most: int = MOST_CALLS,
    budget_s: float | None = None,
    warm_up: int = 2,
) -> list[float]:
    """Return the seconds of calls after a warm-up, as many as the budget holds."""
    budget_s = BUDGET_S if budget_s is None else budget_s
    for _ in range(warm_up):
        call()
    found: list[float] = []
    while len(found) < at_least or (len(found) < at_most and sum(found) < budget_s):
        found.append(timed(call))
    return found


def alternated(measures: Sequence[Callable[[], float]], *, at_least: int = 5) -> list[Timing]:
    """Return the times of several things, measured by turns: what disturbs one disturbs all.

    The first is as it was found, the others are its median times the quartiles of their ratios to
    it in the same round.

    Args:
        measures: each returns the seconds of one call; the first round is left out.
        at_least: rounds; as many more as twice the budget holds.
    """
    rounds: list[list[float]] = []
    for measure in measures:
        measure()
    while len(rounds) < at_least or (len(rounds) < MOST_CALLS and np.sum(rounds) < 2.0 * BUDGET_S):
        rounds.append([measure() for measure in measures])
    times = np.array(rounds)
    first = timing_of(times[:, 0].tolist())
    ratios = times[:, 1:] / times[:, :1]
    others = np.quantile(ratios, [0.5, 0.25, 0.75], axis=0).T * first.median
    return [first, *(Timing(*row) for row in others.tolist())]
