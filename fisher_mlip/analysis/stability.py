"""Trajectory -> the first time at which each molecule has a bond off its reference length."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fisher_mlip.analysis.bonds import BondTypes, bond_types, lengths_in_frames
from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.survival import KaplanMeier, kaplan_meier, rate_ci95
from fisher_mlip.analysis.trajectory import distances, iterate_chunks, start_frame
from fisher_mlip.data import read_frames
from fisher_mlip.data.frames import BoolArray, FloatArray

FIRST_FRAMES = 10


@dataclass(frozen=True, eq=False)
class Stability:
    """When molecules broke.

    Attributes:
        time_ps: (n_watched,), of the first frame with a broken bond, or of the last frame.
        is_broken: (n_watched,).
        bond_counts: how many molecules broke first at a bond of this kind, e.g. `H-O`.
        curve: Kaplan-Meier estimate.
        n_frames: trajectory frames read.
        interval_ps: between frames.
        threshold: Å off the reference length.
        reference_source: where the reference lengths come from, in words.
    """

    time_ps: FloatArray
    is_broken: BoolArray
    bond_counts: dict[str, int]
    curve: KaplanMeier
    n_frames: int
    interval_ps: float
    threshold: float
    reference_source: str

    @property
    def n_watched(self) -> int:
        return len(self.time_ps)

    @property
    def n_broken(self) -> int:
        return int(self.is_broken.sum())

    @property
    def first_ps(self) -> float:
        """Time of the first break; infinite where there was none."""
        return float(self.time_ps[self.is_broken].min()) if self.n_broken else float("inf")

    @property
    def rate_ci95(self) -> tuple[float, float]:
        """95 % interval of the breaks per molecule and ps, were their rate constant."""
        return rate_ci95(self.n_broken, float(self.time_ps.sum()))


def find_breaks(
    run: Run, *, threshold: float, reference: Path | None, from_start: bool = False
) -> Stability | None:
    """Watch every bond of a run.

    Args:
        run: with a trajectory.
        threshold: Å; a bond further than this from its reference length is broken.
        reference: extended XYZ whose frames give the reference lengths, or None for the
            median over the run's first frames and its equivalent bonds. A bond that is already
            broken in those, against the run's start, has the start's length for its reference.
        from_start: without a reference, whether the start alone gives the lengths, as the median
            over equivalent bonds: runs that start alike then have the same.

    Returns:
        None where there are no bonds or no frames to watch.

    Raises:
        InputError: a trajectory or a reference that does not fit the run.
    """
    if not len(run.reference.bonds):
        return None
    types = bond_types(run.reference)
    if reference is not None:
        per_type = lengths_in_frames(types, run.reference, read_frames(reference))
        source = f"means over the frames of {reference.name}"
    elif from_start:
        per_type = _medians(distances(start_frame(run), types.bonds), types)
        source = "medians over equivalent bonds at the run's start"
    else:
        first = _first_lengths(run, types)
        if first is None:
            return None
        start = _medians(distances(start_frame(run), types.bonds), types)
        per_type = np.where(np.abs(first - start) > threshold, start, first)
        source = f"medians over the run's first {FIRST_FRAMES} frames and equivalent bonds"
    return _watch(run, types, per_type[types.type_of_bond], threshold, source)


def _first_lengths(run: Run, types: BondTypes) -> FloatArray | None:
    parts: list[FloatArray] = []
    for _, chunk in iterate_chunks(run, FIRST_FRAMES):
        parts.append(distances(chunk[:FIRST_FRAMES], types.bonds))
        if sum(len(part) for part in parts) >= FIRST_FRAMES:
            break
    if not parts:
        return None
    return _medians(np.concatenate(parts)[:FIRST_FRAMES], types)


def _medians(lengths: FloatArray, types: BondTypes) -> FloatArray:
    """Return the median of each type, (n_types,), from lengths (n_frames, n_bonds)."""
    return np.array(
        [_median(lengths[:, types.type_of_bond == kind]) for kind in range(len(types.names))]
    )


def _median(lengths: FloatArray) -> float:
    # The median does not follow the few bonds that may break within these frames.
    finite = lengths[np.isfinite(lengths)]
    return float(np.median(finite)) if len(finite) else np.nan


def _watch(
    run: Run, types: BondTypes, expected: FloatArray, threshold: float, source: str
) -> Stability | None:
    first = np.full(len(types.bonds), np.inf)
    last, n_frames = np.nan, 0
    for times, chunk in iterate_chunks(run):
        # Written so that a NaN length counts as broken.
        is_off = ~(np.abs(distances(chunk, types.bonds) - expected) <= threshold)
        found = np.where(is_off.any(axis=0), times[is_off.argmax(axis=0)], np.inf)
        first = np.minimum(first, found)
        last, n_frames = float(times[-1]), n_frames + len(times)
    if not n_frames:
        return None
    watched = np.unique(types.molecule_of_bond)
    time, counts = np.empty(len(watched)), dict.fromkeys(sorted(set(types.names)), 0)
    for row, molecule in enumerate(watched):
        bonds = np.flatnonzero(types.molecule_of_bond == molecule)
        earliest = bonds[first[bonds].argmin()]
        time[row] = first[earliest]
        if np.isfinite(time[row]):
            counts[types.names[types.type_of_bond[earliest]]] += 1
    is_broken = np.isfinite(time)
    time = np.where(is_broken, time, last)
    curve = kaplan_meier(time, is_broken)
    seen = {name: count for name, count in counts.items() if count}
    interval = run.frame_interval_ps
    return Stability(time, is_broken, seen, curve, n_frames, interval, threshold, source)
