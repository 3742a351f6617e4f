"""Segments with one thing changed each -> where the drift comes from, by rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fisher_mlip.analysis.verdict import number, signed
from fisher_mlip.diagnose.segment import SegmentEnergies
from fisher_mlip.diagnose.variants import AS_IT_WAS, FLOAT64, HALF_STEP, LONGER_SKIN
from fisher_mlip.slopes import Fluctuation, Slope, fit_fluctuation, fit_slope

Cause = Literal["timestep", "rounding", "neighbor list", "surface", "too short"]
CAUSES: dict[str, Cause] = {
    FLOAT64: "rounding",
    LONGER_SKIN: "neighbor list",
    HALF_STEP: "timestep",
}
# A drift has vanished, or is still there, when 95 % of it lies below, or above, this part of it.
PART = 0.5
# What a smooth potential's fluctuation falls by at half the step is 4.
ORDER = (3.0, 5.5)
# And by at least this, as low as the intervals allow.
TOLD_FROM_ONE = 1.5


@dataclass(frozen=True)
class Measured:
    """A segment in numbers.

    Attributes:
        name: of the variant.
        slope: meV/atom/ps.
        fluctuation: meV/atom, about the line.
        kinetic_std: meV/atom.
        broken_ps: when a bond broke or a number ceased to be finite; None for never.
    """

    name: str
    slope: Slope
    fluctuation: Fluctuation
    kinetic_std: float
    broken_ps: float | None


@dataclass(frozen=True)
class Verdict:
    """Where the drift comes from.

    Attributes:
        cause: in a word or two.
        sentence: why.
    """

    cause: Cause
    sentence: str


def measured(segment: SegmentEnergies, *, seed: int = 0) -> Measured:
    """Measure a segment up to where a bond broke.

    Args:
        segment: of a variant.
        seed: of the bootstrap.
    """
    ends = [end for end in (segment.broken_ps, segment.nonfinite_ps) if end is not None]
    broken = min(ends) if ends else None
    kept = segment.time_ps <= (np.inf if broken is None else broken)
    time, total = segment.time_ps[kept], segment.total[kept]
    return Measured(
        segment.name,
        fit_slope(time, total, seed=seed),
        fit_fluctuation(time, total, seed=seed),
        segment.kinetic_std,
        broken,
    )


def verdict_of(found: Sequence[Measured]) -> Verdict:
    """Say where the drift comes from.

    A bond that broke is a hole of the surface, unless half the step keeps it. A drift that vanishes
    with one change comes from what was changed; one that stays with all of them comes from the
    surface. Without a drift the fluctuation is asked likewise.

    Args:
        found: as it was first, then each variant.
    """
    base, others = found[0], {one.name: one for one in found[1:]}
    assert base.name == AS_IT_WAS
    if base.broken_ps is not None:
        return _of_break(base, others)
    vanished = [one for name in CAUSES if (one := others.get(name)) and _vanishes(base, one)]
    if vanished:
        return _of_vanished(base, vanished)
    if not base.slope.excludes_zero:
        return _of_fluctuation(base, others)
    if base.slope.is_resolved and all(_stays(base, one) for one in others.values()):
        names = ", ".join(others)
        sentence = f"the drift {_slope(base)} stays with {names}: the surface is not smooth"
        return Verdict("surface", f"{sentence} (cutoff, neighbor caps), or forces are no gradient")
    return _too_short(base, others)


def _of_break(base: Measured, others: dict[str, Measured]) -> Verdict:
    half = others.get(HALF_STEP)
    when = f"a bond broke or a number was not finite after {number(base.broken_ps or 0.0)} ps"
    if half is not None and half.broken_ps is None:
        return Verdict("timestep", f"{when}, which half the step kept whole")
    return Verdict("surface", f"{when}, with half the step too: a hole in the surface")


def _vanishes(base: Measured, other: Measured) -> bool:
    # Half the step sharpens the slope of any fluctuation: there a drift must be seen to vanish.
    if other.broken_ps is not None or not other.slope.is_resolved:
        return False
    if other.name == HALF_STEP and not base.slope.excludes_zero:
        return False
    return _largest(other.slope) < PART * abs(base.slope.value)


def _stays(base: Measured, other: Measured) -> bool:
    slope = other.slope
    if not slope.excludes_zero or not slope.is_resolved or slope.value * base.slope.value < 0.0:
        return False
    return min(abs(slope.low), abs(slope.high)) > PART * abs(base.slope.value)


def _of_vanished(base: Measured, vanished: list[Measured]) -> Verdict:
    first = min(vanished, key=lambda one: _largest(one.slope))
    sentence = f"the drift {_slope(base)} vanishes with {first.name}, {_slope(first)}"
    rest = [one.name for one in vanished if one is not first]
    if rest:
        sentence += f"; with {', '.join(rest)} too"
    if first.name == HALF_STEP:
        sentence += f"; the fluctuation falls by {number(_ratio(base, first))}"
    return Verdict(CAUSES[first.name], sentence)


def _of_fluctuation(base: Measured, others: dict[str, Measured]) -> Verdict:
    """Ask the fluctuation where there is no drift."""
    none = f"no drift is told from zero ({_slope(base)})"
    share = 100.0 * base.fluctuation.value / max(base.kinetic_std, 1e-300)
    size = (
        f"the fluctuation {number(base.fluctuation.value)} meV/atom, "
        f"{number(share)} % of the kinetic energy's"
    )
    half = others[HALF_STEP]
    if _is_told(base, half) and ORDER[0] <= _ratio(base, half) <= ORDER[1]:
        sentence = f"{none}; {size}, falls by {number(_ratio(base, half))} at half the step"
        return Verdict("timestep", f"{sentence}: the integrator's, bounded")
    for name in (FLOAT64, LONGER_SKIN):
        other = others.get(name)
        if other is not None and _is_told(base, other):
            sentence = f"{none}; {size}, falls by {number(_ratio(base, other))} with {name}"
            return Verdict(CAUSES[name], sentence)
    if all(_is_same(base, other) for other in others.values()):
        return Verdict("surface", f"{none}; {size}, stays with {', '.join(others)}")
    return _too_short(base, others)


def _too_short(base: Measured, others: dict[str, Measured]) -> Verdict:
    apart = ", ".join(f"{_slope(one)} with {one.name}" for one in others.values())
    return Verdict(
        "too short", f"cannot be told: too short; intervals overlap, {_slope(base)}, {apart}"
    )


def _ratio(base: Measured, other: Measured) -> float:
    return base.fluctuation.value / max(other.fluctuation.value, 1e-300)


def _is_told(base: Measured, other: Measured) -> bool:
    """Whether the fluctuation has fallen, as far as the intervals allow."""
    return base.fluctuation.low > TOLD_FROM_ONE * other.fluctuation.high


def _is_same(base: Measured, other: Measured) -> bool:
    """Whether the intervals leave no room for a fall by half."""
    return base.fluctuation.high < 2.0 * other.fluctuation.low


def _largest(slope: Slope) -> float:
    return max(abs(slope.low), abs(slope.high))


def _slope(one: Measured) -> str:
    slope = one.slope
    interval = "" if np.isnan(slope.low) else f" [{number(slope.low)}, {number(slope.high)}]"
    return f"{signed(slope.value)}{interval} meV/atom/ps"
