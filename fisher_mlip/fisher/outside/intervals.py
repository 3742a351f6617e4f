"""Solves with some intervals' slopes among the squared errors, of which each knows the last one's.

In the basis of the spectrum's eigenvectors the normal equations of the data are diagonal. Rows a
(n, rank) with strength s and missing slopes r add s a'a to them, and -s a'r to the moment.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg.lapack import dposv

from fisher_mlip.data.frames import FloatArray, IntArray


class Projections:
    """Rows in the basis of the eigenvectors, made when they are first asked for.

    Most intervals lie behind what an energy can climb to, and are never wanted.

    Attributes:
        rows: (n_known, rank), in the order in which they were asked for.
    """

    def __init__(
        self, rows: Callable[[IntArray], FloatArray], vectors: FloatArray, n_intervals: int
    ) -> None:
        self._rows, self._vectors = rows, vectors
        self._place = np.full(n_intervals, -1)
        # No page of it is there before it is written to.
        self._all = np.empty((n_intervals, vectors.shape[1]))
        self.n_known = 0

    @property
    def rows(self) -> FloatArray:
        return self._all[: self.n_known]

    def places(self, intervals: IntArray) -> IntArray:
        """Return where in `rows` intervals (n,) are."""
        new = intervals[self._place[intervals] < 0]
        if len(new):
            end = self.n_known + len(new)
            np.matmul(self._rows(new), self._vectors, out=self._all[self.n_known : end])
            self._place[new] = np.arange(self.n_known, end)
            self.n_known = end
        return np.asarray(self._place[intervals])


class DualSums:
    """Of one ridge: solves in as many unknowns as intervals are chosen (Woodbury's identity).

    Args:
        projected: the intervals' rows.
        diagonal: (rank,), eigenvalues plus ridge.
        moment: (rank,), of the data.
    """

    def __init__(self, projected: Projections, diagonal: FloatArray, moment: FloatArray) -> None:
        self.projected = projected
        self.inverse = 1.0 / diagonal
        self.plain = self.inverse * moment
        self.kernel = np.zeros((0, 0))

    def solve(self, intervals: IntArray, missing: FloatArray, strength: float) -> FloatArray:
        """Return amplitudes (rank,) with the missing slopes (n,) of intervals (n,)."""
        places = self.projected.places(intervals)
        self._grow()
        kernel = self.kernel[places].take(places, axis=1)
        kernel.flat[:: len(kernel) + 1] += 1.0 / strength
        rows = self.projected.rows
        spread = np.zeros(len(rows))
        spread[places] = solve_positive(kernel, missing + (rows @ self.plain)[places])
        return np.asarray(self.plain - self.inverse * (spread @ rows))

    def _grow(self) -> None:
        """Take in the rows that have become known."""
        rows, n = self.projected.rows, len(self.kernel)
        if len(rows) == n:
            return
        if n == 0:
            # numpy sees that both factors are one array and computes half of the products.
            root = rows * np.sqrt(self.inverse)
            self.kernel = root @ root.T
            return
        grown = np.empty((len(rows), len(rows)))
        grown[:n, :n] = self.kernel
        grown[n:] = (rows[n:] * self.inverse) @ rows.T
        grown[:n, n:] = grown[n:, :n].T
        self.kernel = grown


class PrimalSums:
    """Solves in as many unknowns as there are eigenvectors; the sum of a'a follows the set."""

    def __init__(self, projected: Projections) -> None:
        self.projected = projected
        self.gram: FloatArray | None = None
        self.places = np.zeros(0, dtype=np.int64)

    def solve(
        self,
        intervals: IntArray,
        missing: FloatArray,
        strength: float,
        diagonal: FloatArray,
        moment: FloatArray,
    ) -> FloatArray:
        """Return amplitudes (rank,) with the missing slopes (n,) of intervals (n,).

        Args:
            intervals: at least as many as there are eigenvectors.
            missing: their slopes.
            strength: of their squares.
            diagonal: (rank,), eigenvalues plus ridge.
            moment: (rank,), of the data.
        """
        places = self.projected.places(intervals)
        gram = strength * self._gram_of(places)
        gram.flat[:: len(gram) + 1] += diagonal
        rows = self.projected.rows
        spread = np.zeros(len(rows))
        spread[places] = missing
        return solve_positive(gram, moment - strength * (spread @ rows))

    def _gram_of(self, places: IntArray) -> FloatArray:
        """Return a'a of the rows at `places`, from that of the last ones where it is near."""
        rows = self.projected.rows
        came, went = np.setdiff1d(places, self.places), np.setdiff1d(self.places, places)
        if self.gram is None or 2 * (len(came) + len(went)) > len(places):
            self.gram = _products(rows[places])
        else:
            self.gram = self.gram + _products(rows[came]) - _products(rows[went])
        self.places = places
        return self.gram


def _products(rows: FloatArray) -> FloatArray:
    return np.asarray(rows.T @ rows)


def solve_positive(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Return the solution of a system (n, n), symmetric and positive, whose memory is used."""
    diagonal = matrix.diagonal().copy()
    # Transposed it is in LAPACK's order. What is above the diagonal there is written over.
    _, found, failed = dposv(matrix.T, right, lower=0, overwrite_a=True)
    if failed:
        # Positive but for rounding: made again from the half that is left.
        half = np.triu(matrix, 1)
        return np.asarray(np.linalg.solve(half + half.T + np.diag(diagonal), right))
    return np.asarray(found)
