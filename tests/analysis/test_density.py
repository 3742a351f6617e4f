"""Densities of boxes that breathe: means are in their intervals, fixed boxes tell none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.analysis import analyze_runs, write_report
from fisher_mlip.analysis.averages import time_average
from fisher_mlip.analysis.comparison import comparison_rows
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.products import read_json

MakeRun = Callable[..., Path]
TRUE_DENSITY = 0.79


def breathing(n_rows: int, seed: int, correlation: float = 0.8) -> FloatArray:
    """Return an autoregressive series about the true density, std 0.01 g/mL."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(0.0, 0.01 * np.sqrt(1.0 - correlation**2), n_rows)
    series = np.empty(n_rows)
    series[0] = generator.normal(0.0, 0.01)
    for row in range(1, n_rows):
        series[row] = correlation * series[row - 1] + noise[row]
    return TRUE_DENSITY + series


def coverage(half_width_factor: float = 1.0) -> float:
    inside = 0
    for seed in range(200):
        mean, _ = time_average(breathing(600, seed))
        inside += abs(mean.value - TRUE_DENSITY) < half_width_factor * mean.half_width
    return inside / 200


def test_the_interval_of_a_correlated_mean_covers_the_truth() -> None:
    assert 0.90 < coverage() < 0.99


def test_sabotage_rows_counted_as_independent_are_caught() -> None:
    # tau of the series is (1 + 0.8)/(1 - 0.8) = 9: without it the interval is a third as wide.
    assert coverage(half_width_factor=1.0 / 3.0) < 0.90


def test_the_discarded_start_does_not_count(make_run: MakeRun, tmp_path: Path) -> None:
    density = breathing(401, 1)
    density[:40] = 0.5
    run = make_run("npt", rows=401, ensemble="npt", density=density)
    report = analyze_runs([run])
    found = report.runs[0].density
    assert found is not None
    assert found.start == 0.5
    assert found.mean.value == pytest.approx(TRUE_DENSITY, abs=3 * found.mean.half_width)
    written = write_report(report, tmp_path / "report")
    assert tmp_path / "report" / "density.png" in written
    summary = read_json(tmp_path / "report" / "summary.json")["runs"][0]
    assert summary["density_g_mL"] == found.mean.value
    assert any(name.startswith("Density") for name, _ in comparison_rows(report))


@pytest.mark.parametrize("density", [None, np.full(201, 0.789)])
def test_a_box_that_does_not_change_tells_no_density(
    density: FloatArray | None, make_run: MakeRun, tmp_path: Path
) -> None:
    report = analyze_runs([make_run("nvt", ensemble="nvt", density=density)])
    assert report.runs[0].density is None
    assert not any(name.startswith("Density") for name, _ in comparison_rows(report))
    assert tmp_path / "report" / "density.png" not in write_report(report, tmp_path / "report")
