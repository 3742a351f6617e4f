"""Averages of correlated configurations: correlation times and standard errors."""

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.stable.averages import averages, correlation_time


def autoregressive(
    n: int, memory: float, seed: int, n_series: int = 1
) -> tuple[FloatArray, IntArray]:
    """Return x_k+1 = memory x_k + noise of unit variance, whose time is (1 + m) / (1 - m)."""
    rng = np.random.default_rng(seed)
    x = np.empty((n, n_series))
    x[0] = rng.normal(size=n_series)
    for k in range(1, n):
        x[k] = memory * x[k - 1] + np.sqrt(1.0 - memory**2) * rng.normal(size=n_series)
    return x.T.reshape(-1, 1), np.repeat(np.arange(n_series), n)


@pytest.mark.parametrize(("memory", "expected"), [(0.0, 1.0), (0.8, 9.0), (0.9, 19.0)])
def test_the_time_of_an_autoregression_is_known(memory: float, expected: float) -> None:
    assert correlation_time(*autoregressive(20_000, memory, 0)) == pytest.approx(expected, rel=0.2)
    many = autoregressive(400, memory, 1, n_series=50)
    assert correlation_time(*many) == pytest.approx(expected, rel=0.2)


def test_errors_are_those_of_the_means() -> None:
    found = [averages(*autoregressive(2000, 0.8, seed)) for seed in range(40)]
    spread = np.std([f.mean[0] for f in found])
    told = np.mean([f.standard_error[0] for f in found])
    assert told == pytest.approx(spread, rel=0.3)
    # Taken for independent, three times too small.
    assert told > 2.0 / np.sqrt(2000)


def test_what_differs_between_series_counts_as_correlation() -> None:
    values, series = autoregressive(50, 0.0, 0, n_series=20)
    apart = values + 5.0 * np.random.default_rng(0).normal(size=20)[series][:, None]
    assert averages(values, series).n_independent > 700
    assert averages(apart, series).n_independent < 40


def test_a_drift_is_a_sample_or_two() -> None:
    ramp = np.linspace(0.0, 1.0, 6)[:, None]
    found = averages(ramp, np.zeros(6, dtype=np.int64))
    assert found.n_independent < 3.0


def test_a_constant_has_no_correlation() -> None:
    assert correlation_time(np.ones((5, 2)), np.zeros(5, dtype=np.int64)) == 1.0
