"""Values streamed frame by frame -> a distribution with errors, and its distance to another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fisher_mlip.data.frames import FloatArray, IntArray

# At least so many molecules that do not see each other tell a standard error between them.
FEWEST_REPLICAS = 8
# Few and long, so that neighbors know little of each other.
MOST_BLOCKS = 24
RESAMPLES = 200
_FRAMES_AT_ONCE = 1024

Source = Literal["molecules", "blocks of time"]


@dataclass(frozen=True, eq=False)
class Distribution:
    """A distribution as a histogram, by units that are taken for independent.

    Attributes:
        edges: (n_bins + 1,), of the bins, in the unit of the values.
        counts: (n_units, n_bins); what lies outside is in the outermost bins.
        mean, std: of the values.
        mean_error, std_error: standard errors, between units.
        source: what a unit is.
    """

    edges: FloatArray
    counts: FloatArray
    mean: float
    std: float
    mean_error: float
    std_error: float
    source: Source

    @property
    def density(self) -> FloatArray:
        """(n_bins,), of integral one."""
        return density_of(self.counts, self.edges)

    @property
    def error(self) -> FloatArray:
        """(n_bins,), standard error of the density between units."""
        each = self.counts / self.counts.sum(axis=1, keepdims=True) / np.diff(self.edges)
        return standard_error(each)


@dataclass(frozen=True)
class Distance:
    """How far a distribution is from that of a reference.

    Attributes:
        value: in the unit of its kind.
        error: standard error, bootstrap over units of both.
        noise: what two halves of the same data would show: the mean distance of resampled
            distributions from their own.
    """

    value: float
    error: float
    noise: float


def absolute_distance(found: Distribution, reference: Distribution, *, seed: int = 0) -> Distance:
    """Return the integral of |p(r) - p_ref(r)| dr, without unit, between 0 and 2.

    Args:
        found, reference: with the same bins.
        seed: of the bootstrap.

    Source: Fu et al., Forces are not Enough, TMLR 2023 (arXiv 2210.07237): MAE of h(r).
    """
    widths = np.diff(found.edges)

    def distance(ours: FloatArray, theirs: FloatArray) -> float:
        difference = density_of(ours, found.edges) - density_of(theirs, found.edges)
        return float((np.abs(difference) * widths).sum())

    return _bootstrapped(found, reference, distance, seed)


def wasserstein_distance(
    found: Distribution, reference: Distribution, *, seed: int = 0
) -> Distance:
    """Return the 1-Wasserstein distance, in the unit of the values.

    Args:
        found, reference: with the same bins, which the distance is exact to.
        seed: of the bootstrap.

    Source: W_1 = int |F(x) - F_ref(x)| dx, F the cumulative distributions.
    """
    widths = np.diff(found.edges)

    def distance(ours: FloatArray, theirs: FloatArray) -> float:
        difference = density_of(ours, found.edges) - density_of(theirs, found.edges)
        cumulative = np.cumsum(difference * widths)
        return float((np.abs(cumulative) * widths).sum())

    return _bootstrapped(found, reference, distance, seed)


class Streamed:
    """Collects values of frames into a histogram by unit.

    Args:
        edges: (n_bins + 1,), even.
        owners: (n_items,), the unit of each value of a frame; None: units are blocks of frames,
            neighbors of which are merged so that there are never more than 24.
    """

    def __init__(self, edges: FloatArray, owners: IntArray | None = None) -> None:
        self._edges = edges
        self._n_bins = len(edges) - 1
        self._owners = None if owners is None else np.unique(owners, return_inverse=True)[1]
        n_units = 0 if self._owners is None else int(self._owners.max(initial=-1)) + 1
        # Of each unit its histogram, then the number, sum and sum of squares of its values.
        self._units = np.zeros((n_units, self._n_bins + 3))
        self._frames_in_block, self._filled = 1, 0

    def add(self, values: FloatArray) -> None:
        """Take the values of frames, (n_frames, n_items); those that are not finite are left."""
        if self._owners is not None:
            owners = np.broadcast_to(self._owners, values.shape)
            self._units += self._sums(values, owners, len(self._units))
            return
        # A row of bins a frame: small molecules come in long chunks.
        for start in range(0, len(values), _FRAMES_AT_ONCE):
            part = values[start : start + _FRAMES_AT_ONCE]
            frames = np.broadcast_to(np.arange(len(part))[:, None], part.shape)
            for row in self._sums(part, frames, len(part)):
                self._add_frame(row)

    def finish(self) -> Distribution | None:
        """Return the distribution; None where there were no values."""
        units = self._units[self._units[:, -3] > 0]
        if not len(units):
            return None
        counts, (number, total, squares) = units[:, : self._n_bins], units[:, self._n_bins :].T
        mean = total.sum() / number.sum()
        std = float(_root(squares.sum() / number.sum() - mean**2))
        own_means = total / number
        own_stds = _root(squares / number - 2.0 * mean * own_means + mean**2)
        source: Source = "blocks of time" if self._owners is None else "molecules"
        mean_error, std_error = standard_error(np.column_stack([own_means, own_stds])).tolist()
        return Distribution(self._edges, counts, float(mean), std, mean_error, std_error, source)

    def _sums(self, values: FloatArray, owners: IntArray, n_units: int) -> FloatArray:
        finite = np.isfinite(values)
        kept, units = values[finite].astype(np.float64), owners[finite]
        start, width = self._edges[0], self._edges[1] - self._edges[0]
        bins = np.clip(np.floor((kept - start) / width).astype(np.int64), 0, self._n_bins - 1)
        flat = np.bincount(units * self._n_bins + bins, minlength=n_units * self._n_bins)
        moments = [
            np.bincount(units, weights=power, minlength=n_units)
            for power in (np.ones_like(kept), kept, kept**2)
        ]
        return np.column_stack([flat.reshape(n_units, self._n_bins), *moments])

    def _add_frame(self, row: FloatArray) -> None:
        if self._filled == 0:
            self._units = np.vstack([self._units, row])
        else:
            self._units[-1] += row
        self._filled = (self._filled + 1) % self._frames_in_block
        if len(self._units) == MOST_BLOCKS and self._filled == 0:
            self._units = self._units[::2] + self._units[1::2]
            self._frames_in_block *= 2


def density_of(counts: FloatArray, edges: FloatArray) -> FloatArray:
    """Return the density (n_bins,), of integral one, of counts (n_units, n_bins)."""
    total = counts.sum(axis=0)
    return np.asarray(total / total.sum() / np.diff(edges))


def standard_error(units: FloatArray) -> FloatArray:
    """Return the standard error of a mean over rows (n_units, n), NaN of a single row."""
    if len(units) < 2:
        return np.full(units.shape[1], np.nan)
    return np.asarray(units.std(axis=0, ddof=1) / np.sqrt(len(units)))


def _bootstrapped(
    found: Distribution,
    reference: Distribution,
    distance: Callable[[FloatArray, FloatArray], float],
    seed: int,
) -> Distance:
    if found.edges.shape != reference.edges.shape or not np.allclose(found.edges, reference.edges):
        raise ValueError("distributions to compare need the same bins")
    value = distance(found.counts, reference.counts)
    rng = np.random.default_rng(seed)
    values, noises = np.empty(RESAMPLES), np.empty(RESAMPLES)
    for sample in range(RESAMPLES):
        ours, theirs = (
            one.counts[rng.integers(0, len(one.counts), len(one.counts))]
            for one in (found, reference)
        )
        values[sample] = distance(ours, theirs)
        noises[sample] = np.hypot(distance(ours, found.counts), distance(theirs, reference.counts))
    return Distance(value, float(values.std()), float(noises.mean()))


def _root(square: FloatArray) -> FloatArray:
    return np.sqrt(np.maximum(square, 0.0))
