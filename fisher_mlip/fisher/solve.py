"""theta from the normal equations: scaled, with a ridge toward the pretrained readout."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.normal_equations import NormalEquations

RIDGES = tuple(10.0**exponent for exponent in range(-12, 3))


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The scaled gram matrix, diagonalized once for a whole ridge path.

    Attributes:
        scale: (D,), the square root of T's diagonal; 1 where a feature never moves.
        values: (D,), eigenvalues of T / (scale scale'), ascending; their mean is at most 1.
        vectors: (D, D), eigenvectors as columns.
        rank: eigenvalues above D times machine epsilon times the largest.
    """

    scale: FloatArray
    values: FloatArray
    vectors: FloatArray
    rank: int

    @property
    def condition(self) -> float:
        """Ratio of the largest to the smallest eigenvalue within the rank."""
        kept = self.values[len(self.values) - self.rank :]
        return float(kept[-1] / kept[0]) if self.rank else float("inf")

    def effective_degrees_of_freedom(self, ridge: float) -> float:
        """Return the sum of e / (e + ridge) over the eigenvalues within the rank."""
        kept = self.values[len(self.values) - self.rank :]
        return float((kept / (kept + ridge)).sum())


def diagonalize(equations: NormalEquations) -> Spectrum:
    """Return the spectrum of the gram matrix after scaling its diagonal to one.

    Raises:
        InputError: no feature moves with the positions, or the sums are not finite.
    """
    if not (np.isfinite(equations.gram).all() and np.isfinite(equations.moment).all()):
        raise InputError("expected finite normal equations, found NaN: check frames and model")
    diagonal = np.diag(equations.gram)
    if not (diagonal > 0).any():
        raise InputError("expected features that move with the positions, found only constants")
    scale = np.where(diagonal > 0, np.sqrt(np.maximum(diagonal, 1e-300)), 1.0)
    values, vectors = np.linalg.eigh(equations.gram / np.outer(scale, scale))
    tolerance = len(values) * np.finfo(np.float64).eps * values[-1]
    return Spectrum(scale, values, vectors, int((values > tolerance).sum()))


def solve(
    equations: NormalEquations, spectrum: Spectrum, prior: FloatArray, ridge: float
) -> FloatArray:
    """Return the theta least in force error plus `ridge` times its scaled distance from `prior`.

    Directions outside the rank are never moved: data say nothing of them.

    Args:
        equations: the sums over frames.
        spectrum: of the same equations.
        prior: (D,), the pretrained readout.
        ridge: relative to the scaled diagonal of T (which is 1); 0 solves within the rank.

    Returns:
        (D,), float64.

    Source:
        theta = theta_0 + (T + ridge S^2)^-1 (c - T theta_0), S the column scale.
    """
    if not 0 <= ridge < np.inf:
        raise InputError(f"expected a finite ridge of zero or more, found {ridge}")
    kept = slice(len(spectrum.values) - spectrum.rank, None)
    residual = (equations.moment - equations.gram @ prior) / spectrum.scale
    amplitudes = (spectrum.vectors[:, kept].T @ residual) / (spectrum.values[kept] + ridge)
    correction: FloatArray = (spectrum.vectors[:, kept] @ amplitudes) / spectrum.scale
    return prior + correction


@dataclass(frozen=True)
class RidgeRow:
    """One point of the ridge path; errors are root mean squares over force components, eV/Å."""

    ridge: float
    training_force_rmse: float
    held_out_force_rmse: float
    effective_degrees_of_freedom: float


def ridge_path(
    training: NormalEquations,
    held_out: NormalEquations,
    prior: FloatArray,
    ridges: Sequence[float] = RIDGES,
) -> tuple[list[RidgeRow], Spectrum]:
    """Return the errors along a path of ridges; both follow from the sums alone."""
    spectrum = diagonalize(training)
    rows = []
    for ridge in sorted(ridges):
        theta = solve(training, spectrum, prior, ridge)
        rows.append(
            RidgeRow(
                ridge,
                training.force_rmse(theta),
                held_out.force_rmse(theta),
                spectrum.effective_degrees_of_freedom(ridge),
            )
        )
    return rows, spectrum
