"""The metrics of other benchmarks, against what they are computed from there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.analysis import analyze_runs
from fisher_mlip.analysis.conservation import conservation_metrics
from fisher_mlip.analysis.summary import summarize_run

MakeRun = Callable[..., Path]


def check_as_mlipaudit(metrics: dict[str, float], time: np.ndarray, ledger: object) -> None:
    """The arithmetic that its documentation describes, in eV and ps of the whole system."""
    total, kinetic = ledger.total, ledger.kinetic  # type: ignore[attr-defined]
    slope, _ = np.polyfit(time, total - total[0], 1)
    drift = abs(slope * (time[-1] - time[0]))
    assert metrics["drift_slope_ev_per_ps"] == pytest.approx(slope)
    assert metrics["total_drift_ev"] == pytest.approx(drift)
    assert metrics["energy_drift_ratio"] == pytest.approx(drift / kinetic.std())
    assert metrics["kinetic_energy_std_ev"] == pytest.approx(kinetic.std())


def test_the_ratio_is_that_of_mlipaudit(make_run: MakeRun) -> None:
    found = analyze_runs([make_run(slope=-2.0)]).runs[0]
    metrics = conservation_metrics([found.drift], found.run.reference.n_atoms)
    ledger = found.run.ledger
    check_as_mlipaudit(metrics, ledger.time_ps, ledger)
    assert metrics["energy_drift_meV_per_atom_per_ps"] == pytest.approx(2.0, abs=0.1)
    per_atom = conservation_metrics([found.drift], 1)
    with pytest.raises(AssertionError):
        check_as_mlipaudit(per_atom, ledger.time_ps, ledger)
    low, high = found.drift.over_std_kinetic_ci95
    assert 0.0 < low < metrics["drift_over_std_kinetic"] < high


def test_a_thermostatted_run_has_none(make_run: MakeRun) -> None:
    conserved, other = analyze_runs([make_run("a"), make_run("b", ensemble="nvt")]).runs
    assert "nve_energy_conservation" in summarize_run(conserved)
    assert "nve_energy_conservation" not in summarize_run(other)
