"""Averages over correlated configurations, with their standard errors."""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import FloatArray, IntArray

# Principal components whose correlation times are looked at.
COMPONENTS = 3


@dataclass(frozen=True, eq=False)
class Averages:
    """Means of observables.

    Attributes:
        mean: (n_g,).
        standard_error: (n_g,), of a mean over independent configurations.
        n_independent: configurations over their correlation time.
    """

    mean: FloatArray
    standard_error: FloatArray
    n_independent: float


def averages(values: FloatArray, series: IntArray) -> Averages:
    """Return the means of values (n, n_g) of configurations in time series (n,)."""
    independent = len(values) / correlation_time(values, series)
    freedom = max(independent - 1.0, 1e-9)
    # The mean square deviation is too small by a part 1 / n_independent.
    spread = values.var(axis=0) / freedom if independent > 1.0 else np.full(values.shape[1], np.inf)
    return Averages(values.mean(axis=0), np.sqrt(spread), independent)


def correlation_time(values: FloatArray, series: IntArray) -> float:
    """Return the longest integrated correlation time of the values' principal components.

    Args:
        values: (n, n_g).
        series: (n,), the time series of each row; rows of one are in the order of time.

    Returns:
        in rows, between 1 and their number.

    Source:
        A. Sokal, in Functional Integration (1997): 1 + 2 sum rho(k) up to the first lag of five
        times the sum, or the first rho that is not positive. Deviations are from the mean of all
        series, so that what differs between them counts as correlation.
    """
    centered = values - values.mean(axis=0)
    spread = centered.std(axis=0)
    varies = spread > 1e-12 * max(float(spread.max(initial=0.0)), 1e-300)
    if len(values) < 2 or not varies.any():
        return 1.0
    scaled = centered[:, varies] / spread[varies]
    _, _, axes = np.linalg.svd(scaled, full_matrices=False)
    components = scaled @ axes[:COMPONENTS].T
    times = [_time(component, series) for component in components.T]
    return float(min(max(times), len(values)))


def _time(component: FloatArray, series: IntArray) -> float:
    longest = int(np.bincount(series).max())
    products, counts = np.zeros(longest), np.zeros(longest)
    for which in np.unique(series):
        own = component[series == which]
        spectrum = np.fft.rfft(own, 2 * len(own))
        products[: len(own)] += np.fft.irfft(spectrum * spectrum.conj(), 2 * len(own))[: len(own)]
        counts[: len(own)] += np.arange(len(own), 0, -1)
    covariance = products / np.maximum(counts, 1.0)
    rho = covariance / covariance[0]
    # Deviations from a mean of their own sum to zero: of a short series, late lags are negative.
    negative = np.flatnonzero(rho <= 0.0)
    sums = 2.0 * np.cumsum(rho[: negative[0]] if len(negative) else rho) - 1.0
    wide_enough = np.flatnonzero(np.arange(len(sums)) >= 5.0 * sums)
    return max(1.0, float(sums[wide_enough[0]] if len(wide_enough) else sums[-1]))
