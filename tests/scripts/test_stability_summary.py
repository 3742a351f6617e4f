"""The summaries of the Pareto front and of the stability study, without their runs."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def summary(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("stability_summary")


@pytest.fixture
def pareto(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("benchmark_pareto")


def variant(broken: int, median_ps: float | None, drift: float | None) -> dict[str, Any]:
    return {
        **{"replicas": 32, "broken": broken, "watched_ps": 5.0},
        **{"median_stable_ps": median_ps, "median_drift_meV_atom_ps": drift},
    }


def test_gains_are_of_the_settings_where_the_default_fails(summary: ModuleType) -> None:
    rows = [
        {"variants": {"default": variant(32, 0.5, 2.0), "best": variant(4, None, 0.5)}},
        {"variants": {"default": variant(20, 1.0, 0.2), "best": variant(32, 0.8, 0.1)}},
        {"variants": {"default": variant(0, None, 0.2), "best": variant(0, None, 0.1)}},
        {"variants": {"default": variant(32, 0.5, None), "best": variant(0, None, 0.1)}},
        {"variants": {"default": variant(0, None, 2.0), "best": variant(0, None, None)}},
    ]
    found = summary.improvement_where_default_fails(rows)
    assert set(found) == {"best"}
    # A median beyond the end counts as the end; a gain below one is a loss, and shown.
    assert found["best"]["median_stable_time"] == {
        **{"settings": 3, "median": 10.0, "least": 0.8, "largest": 10.0}
    }
    assert found["best"]["broken"] == {"default": 84, "best": 36, "of": 96}
    assert found["best"]["median_drift"] == {
        **{"settings": 2, "median": 2.0, "least": 0.0, "largest": 4.0}
    }
    assert summary.improvement_where_default_fails(rows[2:3])["best"]["median_drift"] == {
        "settings": 0
    }
    assert summary.improvement_where_default_fails([]) == {}


def test_the_interval_of_a_median_holds_it(summary: ModuleType) -> None:
    values = [1.0, 2.0, 3.0, 4.0, 100.0]
    low, high = summary.interval(values)
    assert low <= summary.middle(values) <= high
    assert summary.interval([]) is None
    assert summary.middle([]) is None
    assert summary.finite(float("inf")) is None


def test_the_front_is_what_nothing_beats(pareto: ModuleType) -> None:
    def point(us: float | None, mae: float, frames: int = 950) -> dict[str, Any]:
        return {"fastest_us": us, "force_mae_meV_A": mae, "frames": frames}

    assert pareto.is_better(point(10.0, 5.0), point(20.0, 5.0))
    assert pareto.is_better(point(10.0, 5.0), point(10.0, 6.0))
    assert not pareto.is_better(point(10.0, 5.0), point(10.0, 5.0))
    assert not pareto.is_better(point(10.0, 6.0), point(20.0, 5.0))
    assert not pareto.is_better(point(None, 5.0), point(20.0, 6.0))
    assert not pareto.is_better(point(10.0, 5.0), point(20.0, 6.0, frames=200))
