"""Quantiles over molecules, of which some may have blown up."""

import numpy as np
import pytest

from fisher_mlip.analysis.energy import MoleculeDrift, quantiles_of_rows

FRACTIONS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@pytest.mark.parametrize("n_molecules", [1, 2, 9, 32])
def test_are_those_of_numpy(n_molecules: int) -> None:
    rows = np.random.default_rng(n_molecules).normal(size=(3, n_molecules))
    expected = np.quantile(rows, FRACTIONS, axis=1)
    np.testing.assert_allclose(quantiles_of_rows(rows, FRACTIONS), expected, rtol=1e-12)


def test_the_median_of_an_even_number_of_spreads_lies_between_the_middle_two() -> None:
    drift = MoleculeDrift(np.zeros(4), np.array([3.0, 1.0, 2.0, np.inf]), np.zeros(4), 0.1)
    low, median, high = drift.spread_quantiles
    assert median == 2.5
    assert (low, high) == (pytest.approx(1.15), np.inf)


def test_infinities_stay_infinite() -> None:
    rows = np.array([[-np.inf, 1.0, np.inf, np.inf], [0.0, 1.0, np.inf, np.inf]])
    found = quantiles_of_rows(rows, (0.0, 1 / 3, 0.5, 0.9, 1.0))
    np.testing.assert_array_equal(found[:, 0], [-np.inf, 1.0, np.inf, np.inf, np.inf])
    np.testing.assert_array_equal(found[:, 1], [0.0, 1.0, np.inf, np.inf, np.inf])
