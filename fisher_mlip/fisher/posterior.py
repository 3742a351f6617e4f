"""What the frames leave open of theta: its covariance, and heads sampled from it."""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.solve import LinearSystem, Spectrum
from fisher_mlip.fisher.sums import Sums

# Below this the inverse of T would be that of its rounding errors.
SMALLEST_RIDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Posterior:
    """A Gaussian of theta about the solution.

    Attributes:
        factor: (D, rank), covariance = factor factor'.
        scale: what the covariance of the ridge regression was multiplied with, (eV/Å)^2, so that
            predicted and actual squared force errors of the held-out frames agree in the mean.
    """

    factor: FloatArray
    scale: float

    def standard_deviation(self, rows: FloatArray) -> FloatArray:
        """Return that of row . theta for rows (..., D)."""
        return np.asarray(np.sqrt(np.square(rows @ self.factor).sum(axis=-1)))

    def samples(self, n: int, seed: int = 0) -> FloatArray:
        """Return n deviations of theta, (n, D), whose covariance is that of the posterior.

        Antithetic: they come in pairs of opposite sign, so their mean is zero.
        """
        if n < 2 or n % 2:
            raise InputError(f"expected an even number of sampled heads, found {n}")
        normal = np.random.default_rng(seed).normal(size=(n // 2, self.factor.shape[1]))
        half = normal @ self.factor.T
        return np.concatenate([half, -half])


def posterior(
    system: LinearSystem, spectrum: Spectrum, ridge: float, held_out: Sums, theta: FloatArray
) -> Posterior:
    """Return the posterior of theta, calibrated on held-out forces.

    Args:
        system: gram and moment that theta solves.
        spectrum: of the same system.
        ridge: that theta was solved with.
        held_out: sums of forces that theta has not seen.
        theta: the solution.

    Raises:
        InputError: no held-out forces.

    Source:
        Bayesian ridge regression (Bishop 2006, eq. 3.54): covariance sigma^2 (T + ridge S^2)^-1;
        sigma^2 from held-out errors in place of a noise model, as in conformal calibration.
    """
    if held_out.count == 0:
        raise InputError("expected held-out forces to calibrate the uncertainty, found none")
    kept = slice(len(spectrum.values) - spectrum.rank, None)
    damped = np.sqrt(spectrum.values[kept] + max(ridge, SMALLEST_RIDGE))
    factor = spectrum.vectors[:, kept] / spectrum.scale[:, None] / damped
    # numpy sees that both factors are one array and computes half of the products.
    predicted = float(np.sum(held_out.gram * (factor @ factor.T))) / held_out.weight
    scale = held_out.rms(theta) ** 2 / predicted
    return Posterior(factor * np.sqrt(scale), scale)
