"""Energy series -> slope with an interval that knows the rows are correlated."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray = npt.NDArray[np.float64]

BLOCK_TIMES = 3
RESOLVED_SAMPLES = 20.0
_MINIMUM_SAMPLES = 4.0
_CAPTURE_FLOOR = 0.5


@dataclass(frozen=True)
class Slope:
    """Least-squares slope of a series with its 95 % interval.

    Attributes:
        value: per unit of time.
        low, high: 95 % interval; NaN where the series is too short for one.
        residual_std: standard deviation about the line.
        autocorrelation_rows: integrated autocorrelation time of the residuals, in rows.
        block_rows: length of the bootstrap's blocks, in rows.
        effective_samples: rows divided by the autocorrelation time.
    """

    value: float
    low: float
    high: float
    residual_std: float
    autocorrelation_rows: float
    block_rows: int
    effective_samples: float

    @property
    def is_resolved(self) -> bool:
        """Whether there are enough independent rows to believe the interval.

        Below that a random walk, which has no slope, is taken for one more often than not.
        """
        return self.effective_samples >= RESOLVED_SAMPLES

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0.0 or self.high < 0.0


def autocorrelation_time(series: FloatArray) -> float:
    """Return the integrated autocorrelation time 1 + 2 Σ ρ(k) of a detrended series, in rows.

    Args:
        series: (n_rows,); a fitted line must already be taken out.

    Returns:
        At least 1: anticorrelated rows are counted as independent.

    Source: A. Sokal, in Functional Integration (1997), window W >= 5 τ; the fitted line lowers
        every ρ(k) by about 2 τ/n, which is put back once.
    """
    n_rows = len(series)
    centred = series - series.mean()
    spectrum = np.fft.rfft(centred, 2 * n_rows)
    covariance = np.fft.irfft(spectrum * spectrum.conj())[:n_rows]
    if not covariance[0] > 0.0:
        return 1.0
    rho = covariance / covariance[0] * n_rows / (n_rows - np.arange(n_rows))
    first = _windowed_sum(rho)
    bias = min(2.0 * first / n_rows, 0.5) if first > 1.0 else 0.0
    return _windowed_sum(rho * (1.0 - bias) + bias)


def fit_slope(time: FloatArray, series: FloatArray, *, seed: int, resamples: int = 1000) -> Slope:
    """Fit a line and bootstrap its slope by moving blocks of residuals.

    Args:
        time: (n_rows,), rising, evenly spaced.
        series: (n_rows,), finite.
        seed: of the resampling.
        resamples: bootstrap samples.

    Returns:
        The slope; the percentiles of the resampled error are widened for the finite number of
        independent rows (Student's t with n/τ - 2 degrees of freedom) and for the correlation
        that blocks cut (variance lost: τ/2L).

    Source: H. R. Künsch, Ann. Statist. 17, 1217 (1989).
    """
    if len(time) < 3:
        return Slope(np.nan, np.nan, np.nan, np.nan, np.nan, 0, 0.0)
    residuals, slope = _residuals(time, series)
    weights = time - time.mean()
    weights = weights / (weights @ weights)
    tau = autocorrelation_time(residuals)
    samples = len(time) / tau
    block = _block_length(tau, len(time))
    low = high = np.nan
    if samples > _MINIMUM_SAMPLES:
        errors = _block_errors(weights, residuals, block, resamples, np.random.default_rng(seed))
        widening = _widening(tau, block, samples)
        low = slope - widening * float(np.quantile(errors, 0.975))
        high = slope - widening * float(np.quantile(errors, 0.025))
    return Slope(slope, low, high, float(residuals.std(ddof=2)), tau, block, samples)


@dataclass(frozen=True)
class Fluctuation:
    """Standard deviation of a series about its line, with its 95 % interval.

    Attributes:
        value: in the series' unit.
        low, high: 95 % interval; NaN where the series is too short for one.
    """

    value: float
    low: float
    high: float


def fit_fluctuation(
    time: FloatArray, series: FloatArray, *, seed: int, resamples: int = 1000
) -> Fluctuation:
    """Measure the fluctuation about the least-squares line and bootstrap it by moving blocks.

    Args:
        time, series, seed, resamples: as `fit_slope`.

    Returns:
        The standard deviation; the percentiles of the logarithm of the resampled one are widened
        as those of the slope.

    Source: H. R. Künsch, Ann. Statist. 17, 1217 (1989).
    """
    if len(time) < 3:
        return Fluctuation(np.nan, np.nan, np.nan)
    residuals, _ = _residuals(time, series)
    value = float(residuals.std(ddof=2))
    # Of squares, not of the series: an oscillation forgets its phase, not its amplitude.
    tau = autocorrelation_time(residuals**2)
    samples = len(time) / tau
    if samples <= _MINIMUM_SAMPLES or not value > 0.0:
        return Fluctuation(value, np.nan, np.nan)
    block = _block_length(tau, len(time))
    rng = np.random.default_rng(seed)
    rows = _block_rows(len(time), block, resamples, rng)
    logs = np.array([0.5 * np.log((residuals[chosen] ** 2).mean()) for chosen in rows])
    errors = _widening(tau, block, samples) * (logs - logs.mean())
    low, high = np.exp(np.log(value) + np.quantile(errors, (0.025, 0.975)))
    return Fluctuation(value, float(low), float(high))


def _residuals(time: FloatArray, series: FloatArray) -> tuple[FloatArray, float]:
    weights = time - time.mean()
    centred = series - series.mean()
    slope = float(weights @ centred / (weights @ weights))
    return np.asarray(centred - slope * weights), slope


def _block_length(tau: float, n_rows: int) -> int:
    return 1 if tau == 1.0 else int(np.clip(np.ceil(BLOCK_TIMES * tau), 1, n_rows // 4 or 1))


def _windowed_sum(rho: FloatArray) -> float:
    sums = 2.0 * np.cumsum(rho) - 1.0
    wide_enough = np.flatnonzero(np.arange(len(rho)) >= 5.0 * sums)
    longest = len(rho) // 2
    window = min(int(wide_enough[0]), longest) if len(wide_enough) else longest
    return max(1.0, float(sums[window]))


def _block_errors(
    weights: FloatArray,
    residuals: FloatArray,
    block: int,
    resamples: int,
    rng: np.random.Generator,
) -> FloatArray:
    rows = _block_rows(len(residuals), block, resamples, rng)
    errors = np.array([weights @ residuals[chosen] for chosen in rows])
    return np.asarray(errors - errors.mean())


def _block_rows(
    n_rows: int, block: int, resamples: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    n_blocks = -(-n_rows // block)
    within = np.arange(block)
    for _ in range(resamples):
        starts = rng.integers(0, n_rows - block + 1, n_blocks)
        yield (starts[:, None] + within).ravel()[:n_rows]


def _widening(tau: float, block: int, samples: float) -> float:
    captured = max(_CAPTURE_FLOOR, 1.0 - (tau - 1.0) / (2.0 * block))
    freedom = samples - 2.0
    student = float(stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975))
    return student * float(np.sqrt(samples / freedom / captured))
