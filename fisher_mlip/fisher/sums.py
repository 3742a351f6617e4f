"""Sums of least squares: what rows and targets leave behind once they are gone."""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from fisher_mlip.data.frames import FloatArray


@dataclass(frozen=True, eq=False)
class Sums:
    """Weighted sums over the rows a of a linear model a . theta of residuals r.

    The squared error sum w (r + a . theta)^2 is theta' T theta - 2 theta' c + square.

    Attributes:
        gram: (D, D), T, the sum of w a a'.
        moment: (D,), c, the sum of -w a r.
        square: the sum of w r^2.
        weight: the sum of w.
        count: number of rows.
    """

    gram: FloatArray
    moment: FloatArray
    square: float
    weight: float
    count: int

    @staticmethod
    def of_rows(rows: Tensor, residuals: Tensor, weights: Tensor) -> "Sums":
        """Return the sums over rows (n, D), residuals (n,) and weights (n,), all float64."""
        weighted = rows * weights[:, None]
        return Sums(
            (weighted.T @ rows).cpu().numpy(),
            -(weighted.T @ residuals).cpu().numpy(),
            float((weights * residuals.square()).sum()),
            float(weights.sum()),
            len(residuals),
        )

    @staticmethod
    def zeros(n_columns: int) -> "Sums":
        """Return the sums over no rows."""
        return Sums(np.zeros((n_columns, n_columns)), np.zeros(n_columns), 0.0, 0.0, 0)

    def __add__(self, other: "Sums") -> "Sums":
        return self._combined(other, 1)

    def __sub__(self, other: "Sums") -> "Sums":
        return self._combined(other, -1)

    def _combined(self, other: "Sums", sign: int) -> "Sums":
        return Sums(
            self.gram + sign * other.gram,
            self.moment + sign * other.moment,
            self.square + sign * other.square,
            self.weight + sign * other.weight,
            self.count + sign * other.count,
        )

    def rms(self, theta: FloatArray | None = None) -> float:
        """Return the weighted root mean square of r + a . theta; of r where theta is None."""
        if self.weight == 0.0:
            return math.nan
        square = self.square
        if theta is not None:
            square += float(theta @ self.gram @ theta - 2.0 * theta @ self.moment)
        return math.sqrt(max(square, 0.0) / self.weight)
