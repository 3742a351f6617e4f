"""Slopes of averages against quadratures; reweighting, its effective size and its gate."""

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.stable.estimator import (
    Samples,
    effective_fraction,
    jacobian,
    largest_step,
    reweighted,
)
from fisher_mlip.units import BOLTZMANN_EV_PER_K

from .conftest import DoubleWell

THETA = np.array([0.02, -0.03, 0.01])
BATCHES = 30


def assert_slopes(found: FloatArray, well: DoubleWell, tolerance: float = 2e-3) -> None:
    expected = well.slopes(THETA)
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


def assert_slopes_within_errors(batches: FloatArray, well: DoubleWell) -> None:
    """Means over batches (n, n_g, D) are within four standard errors of the quadrature."""
    error = batches.std(axis=0, ddof=1) / np.sqrt(len(batches))
    off = (batches.mean(axis=0) - well.slopes(THETA)) / error
    assert np.abs(off).max() < 4.0, np.abs(off).max()


def drawn_batches(well: DoubleWell, n: int, n_molecules: int = 1) -> list[Samples]:
    rng = np.random.default_rng(0)
    shape = (BATCHES, n, n_molecules)
    return [well.samples(well.at(uniform, THETA)) for uniform in rng.uniform(size=shape)]


def test_slopes_are_those_of_the_quadrature(well: DoubleWell) -> None:
    samples = well.samples(well.quantiles(THETA, 20_000))
    found = jacobian(samples)
    assert_slopes(found, well)
    with pytest.raises(AssertionError):
        assert_slopes(-found, well)
    colder = well.samples(well.quantiles(THETA, 20_000), temperature=well.temperature / 1.02)
    with pytest.raises(AssertionError):
        assert_slopes(jacobian(colder), well)


def test_slopes_of_a_sample_are_right_within_their_errors(well: DoubleWell) -> None:
    batches = np.stack([jacobian(samples) for samples in drawn_batches(well, 400)])
    assert_slopes_within_errors(batches, well)
    with pytest.raises(AssertionError):
        assert_slopes_within_errors(-batches, well)
    with pytest.raises(AssertionError):
        assert_slopes_within_errors(1.1 * batches, well)


def test_few_samples_are_not_biased(well: DoubleWell) -> None:
    """The covariance of four configurations is divided by three; divided by four it is off."""
    fours = []
    for samples in drawn_batches(well, 400):
        for start in range(0, 400, 4):
            part = slice(start, start + 4)
            four = Samples(samples.observables[part], samples.features[part], 600.0, 4.0)
            fours.append(jacobian(four))
    of_four = np.stack(fours).reshape(BATCHES, -1, *fours[0].shape).mean(axis=1)
    assert_slopes_within_errors(of_four, well)
    with pytest.raises(AssertionError):
        assert_slopes_within_errors(0.75 * of_four, well)


def test_correlated_samples_are_not_biased(well: DoubleWell) -> None:
    """Each configuration four times: a quarter of them is independent."""
    unbiased, counted_as_independent = [], []
    rng = np.random.default_rng(1)
    for few in well.at(rng.uniform(size=(800, 4)), THETA):
        found = well.samples(np.repeat(few, 4))
        unbiased.append(jacobian(Samples(found.observables, found.features, 600.0, 4.0)))
        counted_as_independent.append(jacobian(found))
    shape = (40, 20, *unbiased[0].shape)
    assert_slopes_within_errors(np.reshape(unbiased, shape).mean(axis=1), well)
    with pytest.raises(AssertionError):
        assert_slopes_within_errors(np.reshape(counted_as_independent, shape).mean(axis=1), well)


def test_localized_agrees_with_global_where_molecules_do_not_interact(well: DoubleWell) -> None:
    batches = drawn_batches(well, 400, n_molecules=8)
    localized = np.stack([jacobian(samples) for samples in batches])
    whole = np.stack([jacobian(samples.globally()) for samples in batches])
    assert_slopes_within_errors(localized, well)
    assert_slopes_within_errors(whole, well)
    # What other molecules do is noise to the global one: some eight times the variance.
    assert (whole.var(axis=0) / localized.var(axis=0)).mean() > 4.0
    of_another = np.stack(
        [
            jacobian(Samples(s.observables, np.roll(s.features, 1, axis=1), 600.0, 400.0))
            for s in batches
        ]
    )
    with pytest.raises(AssertionError):
        assert_slopes_within_errors(of_another, well)


def test_globally_sums_features_and_averages_observables(well: DoubleWell) -> None:
    samples = well.samples(np.random.default_rng(0).uniform(-1.0, 1.0, size=(7, 3)))
    whole = samples.globally()
    np.testing.assert_allclose(whole.mean, samples.mean)
    np.testing.assert_allclose(whole.features[:, 0], samples.features.sum(axis=1))


SPREAD, SLOPE, KELVIN = 0.1, 0.3, 600.0  # Å, eV/Å, K


def gaussian(kelvin: float = KELVIN) -> Samples:
    """A harmonic coordinate's quantiles; its feature and its observable are the coordinate."""
    from scipy.stats import norm

    x = SPREAD * norm.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None, None]
    return Samples(x, x, kelvin, 20_000.0)


def assert_gaussian(samples: Samples, delta: FloatArray) -> None:
    """exp(-beta delta x) moves a Gaussian by -beta delta s^2; ESS / n = exp(-(beta delta s)^2)."""
    pull = float(delta[0]) * SPREAD / (BOLTZMANN_EV_PER_K * KELVIN)
    np.testing.assert_allclose(reweighted(samples, delta), [-pull * SPREAD], rtol=2e-3)
    np.testing.assert_allclose(effective_fraction(samples, delta), np.exp(-(pull**2)), rtol=2e-3)


def test_reweighting_is_exact_for_a_gaussian() -> None:
    delta = np.array([SLOPE])
    assert_gaussian(gaussian(), delta)
    assert_gaussian(gaussian(), -delta)
    with pytest.raises(AssertionError):
        assert_gaussian(gaussian(KELVIN * 1.02), delta)


def test_the_gate_is_where_the_effective_fraction_says() -> None:
    delta = np.array([4.0 * SLOPE])
    pull = float(delta[0]) * SPREAD / (BOLTZMANN_EV_PER_K * KELVIN)
    samples = gaussian()
    for least in (0.9, 0.5):
        found = largest_step(samples, delta, least)
        assert found == pytest.approx(np.sqrt(np.log(1.0 / least)) / pull, rel=2e-3)
        assert effective_fraction(samples, found * delta) >= least
        assert effective_fraction(samples, 1.01 * found * delta) < least
    assert largest_step(samples, 0.01 * delta, 0.5) == 1.0


def test_reweighting_agrees_with_the_quadrature_at_another_theta(well: DoubleWell) -> None:
    delta = np.array([-0.02, 0.01, 0.005])
    samples = well.samples(well.quantiles(THETA, 20_000))
    np.testing.assert_allclose(reweighted(samples, delta), well.averages(THETA + delta), atol=1e-4)
    assert np.abs(reweighted(samples, delta) - well.averages(THETA)).max() > 1e-2


@pytest.mark.parametrize("temperature", [0.0, -300.0, float("nan")])
def test_a_temperature_is_refused(well: DoubleWell, temperature: float) -> None:
    with pytest.raises(InputError, match="expected a temperature above 0 K"):
        well.samples(np.zeros(3), temperature=temperature)


def test_one_configuration_has_no_covariance(well: DoubleWell) -> None:
    with pytest.raises(InputError, match=r"two independent configurations or more, found 1\.0"):
        jacobian(well.samples(np.zeros(1)))
