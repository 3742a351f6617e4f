"""Kaplan-Meier on the data of its textbooks."""

import numpy as np
import pytest

from fisher_mlip.analysis.survival import kaplan_meier, rate_ci95

# Remission times (weeks) of 21 patients on 6-mercaptopurine, Freireich et al., Blood 21, 699 (1963)
TIMES = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
EVENTS = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]


def test_published_estimate_and_greenwood_errors() -> None:
    curve = kaplan_meier(np.array(TIMES, dtype=float), np.array(EVENTS, dtype=bool))
    assert curve.time_ps.tolist() == [0, 6, 7, 10, 13, 16, 22, 23]
    expected = [1.0, 0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    np.testing.assert_allclose(curve.survival, expected, atol=5e-4)
    # Published with the same log(-log) transformation (R survival, conf.type = "log-log").
    np.testing.assert_allclose(curve.low[1:4], [0.620, 0.563, 0.503], atol=1e-3)
    np.testing.assert_allclose(curve.high[1:4], [0.952, 0.923, 0.889], atol=1e-3)
    assert curve.median_ps == 23.0
    assert curve.median_ci95_ps == (13.0, float("inf"))


def test_without_events_survival_is_one_but_not_certain() -> None:
    curve = kaplan_meier(np.full(64, 2.0), np.zeros(64, dtype=bool))
    assert curve.survival.tolist() == [1.0]
    assert curve.low[0] == pytest.approx(0.954, abs=1e-3)
    assert curve.median_ps == float("inf")
    assert curve.end_ps == 2.0


def test_all_broken_ends_at_zero() -> None:
    curve = kaplan_meier(np.array([1.0, 2.0]), np.array([True, True]))
    assert curve.survival.tolist() == [1.0, 0.5, 0.0]
    assert curve.median_ps == 1.0
    assert np.isfinite(curve.low).all()
    assert np.isfinite(curve.high).all()


def test_no_event_follows_the_rule_of_three() -> None:
    low, high = rate_ci95(0, 100.0)
    assert low == 0.0
    assert high == pytest.approx(0.02996, abs=1e-5)


def test_rate_interval_of_ten_events() -> None:
    assert rate_ci95(10, 1.0) == pytest.approx((4.795, 18.39), abs=5e-3)
