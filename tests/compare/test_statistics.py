"""Paired tests on textbook data, with censored times, and what forgets the pairs."""

import numpy as np
import pytest

from fisher_mlip.compare.statistics import paired_difference, paired_survival
from fisher_mlip.data.frames import FloatArray

# Heights of cross- and self-fertilized plants (Darwin 1876), as in Wilcoxon tests of textbooks.
CROSSED = [23.5, 12.0, 21.0, 22.0, 19.1, 21.5, 22.1, 20.4, 18.3, 21.6, 23.3, 21.0, 22.1, 23.0, 12.0]
SELFED = [17.4, 20.4, 20.0, 20.0, 18.4, 18.6, 18.6, 15.3, 16.5, 18.0, 16.3, 18.0, 12.8, 15.5, 18.0]


def test_signed_rank_of_darwins_plants() -> None:
    found = paired_difference(np.array(SELFED), np.array(CROSSED), seed=0)
    assert found.p_value == pytest.approx(0.041, abs=0.002)
    assert found.median == pytest.approx(3.0, abs=0.1)
    assert found.low < found.median < found.high
    assert (found.n_pairs, found.n_left_out) == (15, 0)


def check_small_shift_is_seen(first: FloatArray, other: FloatArray) -> None:
    found = paired_difference(first, other, seed=0)
    assert found.p_value < 0.01
    assert found.low <= 0.05 <= found.high
    assert found.low > 0.0


def test_pairs_show_what_the_spread_of_replicas_hides() -> None:
    generator = np.random.default_rng(0)
    first = generator.lognormal(0.0, 1.0, 24)
    other = first + 0.05 + generator.normal(0.0, 0.02, 24)
    check_small_shift_is_seen(first, other)
    with pytest.raises(AssertionError):
        check_small_shift_is_seen(first, generator.permutation(other))


def test_what_does_not_differ_and_what_is_not_finite() -> None:
    values = np.arange(8.0)
    same = paired_difference(values, values, seed=0)
    assert (same.median, same.p_value) == (0.0, 1.0)
    holed = paired_difference(values, np.where(values > 5, np.nan, values + 1.0), seed=0)
    assert (holed.n_pairs, holed.n_left_out, holed.median) == (6, 2, 1.0)
    assert np.isnan(paired_difference(values, values * np.nan, seed=0).median)


def test_coverage_of_the_median() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for trial in range(60):
        drawn = generator.exponential(1.0, 24)
        found = paired_difference(np.zeros(24), drawn, seed=trial)
        covered += found.low <= np.log(2.0) <= found.high
    assert covered / 60 >= 0.85


def test_a_pair_counts_where_the_first_break_is_known() -> None:
    first = np.array([1.0, 5.0, 2.0, 3.0, 4.0])
    first_broke = np.array([True, False, True, True, False])
    other = np.array([2.0, 3.0, 1.0, 3.0, 5.0])
    other_broke = np.array([False, True, False, True, False])
    found = paired_survival(first, first_broke, other, other_broke)
    # First before other; other before first; other's watch ended too early; a tie; nobody broke.
    assert (found.n_first, found.n_other, found.n_undecided) == (1, 1, 3)
    assert found.p_value == 1.0
    nobody = np.zeros(5, dtype=bool)
    assert paired_survival(first, nobody, other, nobody).logrank_p_value == 1.0


def test_logrank_of_freireichs_remissions() -> None:
    """6-mercaptopurine against placebo, pairs (Freireich 1963): 18 to 3 preferences, p = 0.0015."""
    placebo = [1, 22, 3, 12, 8, 17, 2, 11, 8, 12, 2, 5, 4, 15, 8, 23, 5, 11, 4, 1, 8]
    drug = [10, 7, 32, 23, 22, 6, 16, 34, 32, 25, 11, 20, 19, 6, 17, 35, 6, 13, 9, 6, 10]
    event = [1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0]
    found = paired_survival(
        np.array(placebo, float), np.ones(21, bool), np.array(drug, float), np.array(event, bool)
    )
    assert (found.n_first, found.n_other) == (18, 3)
    assert found.p_value == pytest.approx(0.0015, abs=1e-4)
    # Published chi-square 16.79.
    assert found.logrank_p_value == pytest.approx(4.2e-5, rel=0.05)
    as_breaks = paired_survival(
        np.array(placebo, float), np.ones(21, bool), np.array(drug, float), np.ones(21, bool)
    )
    assert as_breaks.logrank_p_value > 2.0 * found.logrank_p_value
