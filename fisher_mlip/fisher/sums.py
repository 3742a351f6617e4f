"""Sums of least squares: what rows and targets leave behind once they are gone."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fisher_mlip.data.frames import FloatArray

ROWS_AT_ONCE = 2000


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
        components: of the data, that these rows stand for: more than rows where some are drawn.
    """

    gram: FloatArray
    moment: FloatArray
    square: float
    weight: float
    count: int
    components: float

    @staticmethod
    def zeros(n_columns: int) -> "Sums":
        """Return the sums over no rows."""
        return Sums(np.zeros((n_columns, n_columns)), np.zeros(n_columns), 0.0, 0.0, 0, 0.0)

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
            self.components + sign * other.components,
        )

    def rms(self, theta: FloatArray | None = None) -> float:
        """Return the weighted root mean square of r + a . theta; of r where theta is None."""
        if theta is not None:
            return float(self.rms_of(theta[None])[0])
        return math.nan if self.weight == 0.0 else math.sqrt(max(self.square, 0.0) / self.weight)

    def rms_of(self, thetas: FloatArray) -> FloatArray:
        """Return (n,), the weighted root mean squares of r + a . theta for thetas (n, D)."""
        if self.weight == 0.0:
            return np.full(len(thetas), math.nan)
        quadratic = ((thetas @ self.gram) * thetas).sum(axis=1)
        square = self.square + quadratic - 2.0 * (thetas @ self.moment)
        return np.asarray(np.sqrt(np.maximum(square, 0.0) / self.weight))


class RunningSums:
    """Sums of rows that come a few at a time; some thousand are added to the gram at once."""

    def __init__(self, n_columns: int) -> None:
        self.gram = np.zeros((n_columns, n_columns))
        self.moment = np.zeros(n_columns)
        self.square = self.weight = self.components = 0.0
        self.count = 0
        self.waiting: list[Tensor] = []

    def add(
        self, rows: Tensor, residuals: Tensor, weights: Tensor, stands_for: Tensor | None = None
    ) -> None:
        """Take rows (n, D), residuals (n,) and weights (n,) >= 0, all float64.

        Args:
            rows, residuals, weights: of a component each.
            stands_for: (n,), how many components each row stands for; None: one.
        """
        self.components += float(len(rows) if stands_for is None else stands_for.sum())
        weights = weights if stands_for is None else weights * stands_for
        root = weights.sqrt()
        weighted = rows * root[:, None]
        self.moment -= (weighted.T @ (root * residuals)).cpu().numpy()
        self.square += float((weights * residuals.square()).sum())
        self.weight += float(weights.sum())
        self.count += len(residuals)
        self.waiting.append(weighted)
        if sum(len(part) for part in self.waiting) >= ROWS_AT_ONCE:
            self._flush()

    def total(self) -> Sums:
        """Return the sums over all rows taken so far."""
        self._flush()
        return Sums(self.gram, self.moment, self.square, self.weight, self.count, self.components)

    def _flush(self) -> None:
        if self.waiting:
            self.gram += _products_of_columns(torch.cat(self.waiting))
            self.waiting = []


def _products_of_columns(rows: Tensor) -> FloatArray:
    if rows.is_cuda:
        return np.asarray((rows.T @ rows).cpu().numpy())
    # numpy sees that both factors are one array and computes half of the products.
    own = rows.numpy()
    return np.asarray(own.T @ own)
