"""Slopes and intervals on series whose truth is known."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter

from fisher_mlip.slopes import Fluctuation, autocorrelation_time, fit_fluctuation, fit_slope

Array = npt.NDArray[np.float64]


def autoregressive(generator: np.random.Generator, n_rows: int, memory: float) -> Array:
    noise = generator.normal(size=n_rows + 300)
    return np.asarray(lfilter([1.0], [1.0, -memory], noise)[300:])


def check_detects(series: Array, expected: float) -> None:
    slope = fit_slope(np.linspace(0.0, 9.99, len(series)), series, seed=0)
    assert slope.low <= expected <= slope.high
    assert slope.excludes_zero == (expected != 0.0)


def test_exact_line_is_found_without_error() -> None:
    time = np.linspace(0.0, 3.0, 31)
    slope = fit_slope(time, 7.0 - 2.5 * time, seed=0)
    assert slope.value == pytest.approx(-2.5, rel=1e-12)
    assert slope.residual_std < 1e-12


def test_slope_added_to_noise_is_detected_and_its_absence_is_not() -> None:
    noise = autoregressive(np.random.default_rng(0), 1000, 0.5)
    time = np.linspace(0.0, 9.99, 1000)
    check_detects(noise, 0.0)
    check_detects(noise + 0.3 * time, 0.3)
    with pytest.raises(AssertionError):
        check_detects(noise + 0.3 * time, 0.0)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_autocorrelation_time_of_an_autoregressive_series(memory: float) -> None:
    series = autoregressive(np.random.default_rng(1), 200_000, memory)
    assert autocorrelation_time(series) == pytest.approx((1 + memory) / (1 - memory), rel=0.1)


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_interval_covers_the_true_slope_as_often_as_it_says(memory: float) -> None:
    generator = np.random.default_rng(2)
    time = np.linspace(0.0, 9.99, 1000)
    trials = 200
    covered = resolved = 0
    for trial in range(trials):
        series = autoregressive(generator, 1000, memory) + 0.3 * time
        slope = fit_slope(time, series, seed=trial, resamples=200)
        resolved += slope.is_resolved
        covered += slope.low <= 0.3 <= slope.high
    # Stated 95 %; 0.88 is what 1000 rows with 53 independent ones are allowed to fall short.
    assert 0.88 <= covered / trials <= 0.99
    assert resolved / trials > 0.9


def test_interval_of_independent_rows_fails_on_correlated_ones() -> None:
    """The twin: an interval that takes rows for independent misses the truth most of the time."""
    generator = np.random.default_rng(3)
    time = np.linspace(0.0, 9.99, 1000)
    naive = 0
    for trial in range(60):
        series = autoregressive(generator, 1000, 0.9)
        slope = fit_slope(time, series, seed=trial, resamples=100)
        error = slope.residual_std / np.sqrt(((time - time.mean()) ** 2).sum())
        naive += abs(slope.value) <= 1.96 * error
    assert naive / 60 < 0.6


def test_a_random_walk_is_not_taken_for_resolved() -> None:
    generator = np.random.default_rng(4)
    time = np.linspace(0.0, 9.99, 1000)
    walks = (np.cumsum(generator.normal(size=1000)) for _ in range(40))
    resolved = sum(fit_slope(time, walk, seed=0, resamples=50).is_resolved for walk in walks)
    assert resolved <= 10


def test_too_short_a_series_has_no_interval() -> None:
    slope = fit_slope(np.arange(3.0), np.array([0.0, 1.0, 0.5]), seed=0)
    assert slope.value == pytest.approx(0.25)
    assert np.isnan(slope.low)
    assert not slope.is_resolved
    assert not slope.excludes_zero


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_interval_covers_the_true_fluctuation(memory: float) -> None:
    """Of a correlated series about a line; an interval that took its rows for independent fails."""
    generator = np.random.default_rng(3)
    time, truth = np.linspace(0.0, 9.99, 1000), 1.0 / np.sqrt(1.0 - memory**2)
    trials, covered, naive = 60, 0, 0
    for trial in range(trials):
        series = autoregressive(generator, 1000, memory) + 0.3 * time
        found = fit_fluctuation(time, series, seed=trial, resamples=100)
        covered += found.low <= truth <= found.high
        independent = found.value * np.exp(np.array([-1.96, 1.96]) / np.sqrt(2000.0))
        naive += independent[0] <= truth <= independent[1]
    # Stated 95 %; the line takes a part of what is slow with it.
    assert covered / trials >= 0.8
    assert naive / trials < 0.7 or memory == 0.0


def test_fluctuation_of_an_oscillation_is_known_sharply() -> None:
    """Its rows cancel in a mean, but each whole period shows its amplitude."""
    time = np.linspace(0.0, 10.0, 1001)
    found = fit_fluctuation(time, 2.0 * np.sin(70.0 * time) + 5.0 * time, seed=0)
    assert found.value == pytest.approx(np.sqrt(2.0), rel=0.01)
    assert found.high / found.low < 1.1
    assert np.isnan(fit_fluctuation(time[:2], time[:2], seed=0).value)
    still = fit_fluctuation(time, 5.0 * time, seed=0)
    assert isinstance(still, Fluctuation)
    assert still.value < 1e-12
