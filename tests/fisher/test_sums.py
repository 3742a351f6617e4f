"""Sums are those of the rows; weights are repetitions; what is taken out is gone."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.fisher.sums import RunningSums, Sums
from tests.fisher.conftest import sums_over

N, D = 30, 4


def rows(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    return torch.randn(N, D, **options), torch.randn(N, **options)


def direct_rms(theta: FloatArray) -> float:
    a, r = rows()
    return float((r + a @ torch.from_numpy(theta)).square().mean().sqrt())


@pytest.mark.parametrize("theta", [np.zeros(D), np.array([0.3, -1.0, 2.0, 0.1])])
def test_rms_is_that_of_residuals_plus_rows_times_theta(theta: FloatArray) -> None:
    sums = sums_over(*rows(), torch.ones(N, dtype=torch.float64))
    assert sums.rms(theta) == pytest.approx(direct_rms(theta), rel=1e-12)
    assert sums.rms() == pytest.approx(direct_rms(np.zeros(D)), rel=1e-12)


def test_sabotage_a_moment_of_the_other_sign_is_caught() -> None:
    sums = sums_over(*rows(), torch.ones(N, dtype=torch.float64))
    theta = np.array([0.3, -1.0, 2.0, 0.1])
    printed = replace(sums, moment=-sums.moment)
    assert printed.rms(theta) != pytest.approx(direct_rms(theta), rel=1e-3)


def test_weights_are_repetitions() -> None:
    a, r = rows()
    times = torch.arange(N) % 3
    weighted = sums_over(a, r, times.double())
    ones = torch.ones(int(times.sum()), dtype=torch.float64)
    repeated = sums_over(a.repeat_interleave(times, 0), r.repeat_interleave(times), ones)
    np.testing.assert_allclose(weighted.gram, repeated.gram, atol=1e-12)
    np.testing.assert_allclose(weighted.moment, repeated.moment, atol=1e-12)
    assert weighted.rms(np.ones(D)) == pytest.approx(repeated.rms(np.ones(D)))
    assert weighted.count == N


def test_rows_taken_out_are_gone() -> None:
    one, other = (sums_over(*rows(k), torch.ones(N, dtype=torch.float64)) for k in (0, 1))
    back = one + other - other
    np.testing.assert_allclose(back.gram, one.gram, atol=1e-12)
    np.testing.assert_allclose(back.moment, one.moment, atol=1e-12)
    assert (back.count, back.weight) == (N, N)
    assert back.rms() == pytest.approx(one.rms())


def test_no_rows_have_no_rms() -> None:
    assert math.isnan(Sums.zeros(D).rms())
    assert math.isnan(Sums.zeros(D).rms(np.ones(D)))


def test_rows_that_come_a_few_at_a_time_make_the_same_sums(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, r = rows()
    weights = torch.linspace(0.0, 2.0, N, dtype=torch.float64)
    at_once = sums_over(a, r, weights)
    monkeypatch.setattr("fisher_mlip.fisher.sums.ROWS_AT_ONCE", 10)
    running = RunningSums(D)
    for part in torch.arange(N).split(7):
        running.add(a[part], r[part], weights[part])
    found = running.total()
    np.testing.assert_allclose(found.gram, at_once.gram, atol=1e-12)
    np.testing.assert_allclose(found.gram, (a.T * weights) @ a, atol=1e-12)
    np.testing.assert_allclose(found.moment, -(a.T * weights) @ r, atol=1e-12)
    assert (found.count, found.weight) == (N, pytest.approx(float(weights.sum())))
    assert found.square == pytest.approx(at_once.square)
