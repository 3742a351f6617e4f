"""Gauss-Newton steps on the double well: a known theta is found, and the limits hold."""

from typing import cast

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.fisher.sums import Sums
from fisher_mlip.model import Checkpoint
from fisher_mlip.stable.averages import Averages
from fisher_mlip.stable.estimator import effective_fraction
from fisher_mlip.stable.prior import FisherPrior
from fisher_mlip.stable.step import Limits, Step, choose_step, gauss_newton, precisions

from .conftest import DoubleWell

TRUE = np.array([0.05, -0.04, 0.02])
LOOSE = Limits(strength=1e-9, effective_fraction=0.5, force_tolerance=1e3)


def prior_of_well() -> FisherPrior:
    """theta = z in units of 0.1 eV; held-out errors grow with |theta|."""
    held_out = Sums(np.eye(3), np.zeros(3), 1e-4, 1.0, 1, 1.0)
    nothing = cast(Checkpoint, None)
    return FisherPrior(nothing, np.zeros(3), 0.1 * np.eye(3), held_out, Sums.zeros(3))


def reference_of(well: DoubleWell) -> Averages:
    mean = well.averages(TRUE)
    return Averages(mean, np.full(len(mean), 1e-3), 1000.0)


def one_step(well: DoubleWell, z: FloatArray, limits: Limits) -> Step | None:
    """Step from z on points without noise."""
    prior, target = prior_of_well(), reference_of(well)
    samples = well.samples(well.quantiles(prior.theta(z), 4000))
    found = Averages(samples.mean, np.full(5, 1e-3), 4000.0)
    precision = precisions(found, target, [2, 3])
    return choose_step(samples, target, precision, prior, z, limits)


def walk(well: DoubleWell, limits: Limits, n: int = 8) -> list[FloatArray]:
    zs = [np.zeros(3)]
    for _ in range(n):
        step = one_step(well, zs[-1], limits)
        if step is None:
            break
        zs.append(step.z)
    return zs


def test_a_known_theta_is_found(well: DoubleWell) -> None:
    prior = prior_of_well()
    thetas = [prior.theta(z) for z in walk(well, LOOSE)]
    assert np.abs(thetas[0] - TRUE).max() > 0.04
    np.testing.assert_allclose(thetas[-1], TRUE, atol=2e-4)


def test_a_large_lambda_stays_where_it_was(well: DoubleWell) -> None:
    held = walk(well, Limits(strength=1e12, effective_fraction=0.5, force_tolerance=1e3), 1)
    np.testing.assert_allclose(held[-1], 0.0, atol=1e-6)
    # From elsewhere it comes back.
    slopes, residual = np.ones((5, 3)), np.ones(5)
    back = gauss_newton(slopes, residual, np.ones(5), np.full(3, 0.5), 1e12)
    np.testing.assert_allclose(back, 0.0, atol=1e-9)


def objective(
    y: FloatArray, slopes: FloatArray, residual: FloatArray, z: FloatArray, strength: float
) -> float:
    return float(np.sum((residual + slopes @ (y - z)) ** 2) + strength * y @ y)


def test_the_minimum_is_one() -> None:
    rng = np.random.default_rng(0)
    slopes, residual, z = rng.normal(size=(5, 7)), rng.normal(size=5), rng.normal(size=7)
    found = gauss_newton(slopes, residual, np.ones(5), z, 0.3)
    least = objective(found, slopes, residual, z, 0.3)
    for direction in np.eye(7):
        for off in (1e-3 * direction, -1e-3 * direction):
            assert objective(found + off, slopes, residual, z, 0.3) > least
    assert objective(z, slopes, residual, z, 0.3) > least + 0.1


def test_the_wrong_sign_goes_the_other_way(well: DoubleWell) -> None:
    """The same step with slopes of the other sign does not come nearer."""
    prior, target = prior_of_well(), reference_of(well)
    slopes, start = well.slopes(np.zeros(3)) @ prior.factor, well.averages(np.zeros(3))
    residual, weight = start - target.mean, np.ones(5)
    off = [
        np.abs(
            well.averages(prior.theta(gauss_newton(s, residual, weight, np.zeros(3), 1e-9)))
            - target.mean
        ).max()
        for s in (slopes, -slopes)
    ]
    assert off[0] < np.abs(residual).max() < off[1]


def test_a_step_keeps_the_effective_fraction_and_predicts(well: DoubleWell) -> None:
    limits = Limits(strength=1e-9, effective_fraction=0.9, force_tolerance=1e3)
    step = one_step(well, np.zeros(3), limits)
    assert step is not None
    assert 0.0 < step.length < 1.0
    prior = prior_of_well()
    samples = well.samples(well.quantiles(np.zeros(3), 4000))
    assert effective_fraction(samples, prior.factor @ step.z) == step.effective_fraction
    assert step.effective_fraction == pytest.approx(0.9, abs=1e-6)
    np.testing.assert_allclose(step.predicted, well.averages(prior.theta(step.z)), atol=2e-3)


def test_lambda_is_raised_until_the_force_error_keeps_its_bound(well: DoubleWell) -> None:
    prior, base = prior_of_well(), prior_of_well().held_out_rmse(np.zeros(3))
    free = one_step(well, np.zeros(3), LOOSE)
    assert free is not None
    assert prior.held_out_rmse(free.z) > 1.05 * base
    step = one_step(well, np.zeros(3), Limits(1e-3, 0.5, 0.05))
    assert step is not None
    assert step.strength > free.strength
    assert base < prior.held_out_rmse(step.z) <= 1.05 * base


def test_a_step_that_cannot_keep_the_bound_is_refused(well: DoubleWell) -> None:
    """theta_0 is the minimum of the held-out error here: any step passes a bound of zero."""
    assert one_step(well, np.zeros(3), Limits(1e-9, 0.5, 0.0)) is None


def test_precisions_have_a_floor_and_count_observables_alike() -> None:
    exact = Averages(np.array([2.0, 1.0, 10.0]), np.zeros(3), 100.0)
    found = precisions(exact, exact, [2, 1])
    np.testing.assert_allclose(found, [1.0 / (2 * 0.02**2), 1.0 / (2 * 0.02**2), 1.0 / 0.1**2])
    unsure = Averages(exact.mean, np.array([0.3, 0.3, 0.3]), 100.0)
    assert (precisions(unsure, exact, [2, 1]) < found).all()
