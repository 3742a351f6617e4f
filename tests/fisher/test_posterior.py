"""The posterior of theta: its covariance, its samples, and its calibration."""

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.posterior import Posterior, posterior
from fisher_mlip.fisher.solve import LinearSystem, diagonalize, solve
from fisher_mlip.fisher.sums import Sums
from tests.fisher.conftest import sums_over

D, NOISE, RIDGE = 5, 0.3, 1e-6
SCALES = np.array([1.0, 10.0, 0.1, 3.0, 1.0])


def sums_of(rows: FloatArray, residuals: FloatArray) -> Sums:
    tensors = torch.from_numpy(rows), torch.from_numpy(residuals)
    return sums_over(*tensors, torch.ones(len(rows), dtype=torch.float64))


def draw(n: int, seed: int, theta: FloatArray, noise: float) -> Sums:
    """Return sums of n rows whose residuals are -row . theta plus noise."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, D)) * SCALES
    return sums_of(rows, -rows @ theta + noise * rng.normal(size=n))


def fitted(n: int, seed: int = 0, theta: FloatArray | None = None) -> tuple[Posterior, FloatArray]:
    truth = np.zeros(D) if theta is None else theta
    sums = draw(n, seed, truth, NOISE)
    system = LinearSystem(sums.gram / sums.weight, sums.moment / sums.weight)
    spectrum = diagonalize(system)
    found = solve(system, spectrum, RIDGE)
    return posterior(system, spectrum, RIDGE, draw(4000, seed + 1, truth, NOISE), found), found


def test_predicted_and_actual_held_out_errors_agree_in_the_mean() -> None:
    spread, theta = fitted(50)
    rows = np.random.default_rng(9).normal(size=(200_000, D)) * SCALES
    predicted = np.mean(spread.standard_deviation(rows) ** 2)
    actual = NOISE**2 + np.mean((rows @ theta) ** 2)
    assert predicted == pytest.approx(actual, rel=0.05)


def test_the_covariance_is_that_of_the_ridge_regression_scaled() -> None:
    sums = draw(50, 0, np.zeros(D), NOISE)
    system = LinearSystem(sums.gram / sums.weight, sums.moment / sums.weight)
    spectrum = diagonalize(system)
    held_out = draw(100, 1, np.zeros(D), NOISE)
    spread = posterior(system, spectrum, 1e-3, held_out, np.zeros(D))
    damped = system.gram + 1e-3 * np.diag(np.diag(system.gram))
    expected = spread.scale * np.linalg.inv(damped)
    np.testing.assert_allclose(spread.factor @ spread.factor.T, expected, rtol=1e-9)


def test_samples_have_the_covariance_and_no_mean() -> None:
    spread, _ = fitted(50)
    samples = spread.samples(40_000)
    np.testing.assert_allclose(samples.mean(axis=0), 0.0, atol=1e-12)
    expected = spread.factor @ spread.factor.T
    size = np.sqrt(np.diag(expected))
    found = samples.T @ samples / len(samples)
    assert np.abs((found - expected) / np.outer(size, size)).max() < 0.03
    with pytest.raises(AssertionError):
        assert np.abs((1.1 * found - expected) / np.outer(size, size)).max() < 0.03


def test_rows_unlike_the_data_are_less_certain() -> None:
    spread, _ = fitted(50)
    inside = np.random.default_rng(2).normal(size=(100, D)) * SCALES
    assert spread.standard_deviation(10 * inside).min() > spread.standard_deviation(inside).min()


def test_no_held_out_forces_are_refused() -> None:
    sums = draw(50, 0, np.zeros(D), NOISE)
    system = LinearSystem(sums.gram / sums.weight, sums.moment / sums.weight)
    with pytest.raises(InputError, match="held-out forces to calibrate"):
        posterior(system, diagonalize(system), RIDGE, Sums.zeros(D), np.zeros(D))


@pytest.mark.parametrize("n", [0, 1, 3])
def test_an_odd_number_of_samples_is_refused(n: int) -> None:
    with pytest.raises(InputError, match="even number"):
        fitted(20)[0].samples(n)
