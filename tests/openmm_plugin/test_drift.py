"""The drift of the ledger: a least-squares slope that a restart does not change by a bit."""

from pathlib import Path

import numpy as np
import openmm
import pytest

from fisher_mlip.errors import InputError
from fisher_mlip.units import KJ_PER_MOL_PER_EV
from openmm_plugin import LedgerReporter
from openmm_plugin.drift import DriftLine

from .conftest import MakeSprings, read_rows


def test_slope_is_that_of_least_squares_at_large_energies() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(200) * 0.01
    energies = -2.4e8 + 0.3 * times + rng.normal(0.0, 1e-3, 200)
    line = DriftLine()
    assert np.isnan(line.slope)
    for time, energy in zip(times, energies, strict=True):
        line.add(time, energy)
    expected = np.polyfit(times - times.mean(), energies - energies.mean(), 1)[0]
    assert line.slope == pytest.approx(expected, rel=1e-6)
    assert line.slope != pytest.approx(expected * 1.01, rel=1e-6)


def test_a_restarted_ledger_is_the_whole_one(springs: MakeSprings, tmp_path: Path) -> None:
    for name, parts in {"whole": (12,), "parts": (4, 8)}.items():
        simulation = springs(openmm.VerletIntegrator(0.01))
        for number, steps in enumerate(parts):
            ledger = LedgerReporter(tmp_path / name, 2, append=number > 0)
            simulation.reporters = [ledger]
            simulation.step(steps)
    whole, parts_rows = (
        [line.rpartition(",")[0] for line in (tmp_path / name).read_text().splitlines()]
        for name in ("whole", "parts")
    )
    assert whole == parts_rows
    columns, rows = read_rows(tmp_path / "whole")
    slope = np.polyfit(rows[:, 1], rows[:, 4], 1)[0] * 1000 / KJ_PER_MOL_PER_EV / 4
    assert rows[-1, columns.index("Drift (meV/atom/ps)")] == pytest.approx(slope, rel=1e-6)


def test_a_drift_begins_after_a_jump(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    rows = [f"{step},{0.1 * step},{5.0 if step > 4 else step}" for step in range(10)]
    path.write_text("\n".join(['#"Step","Time (ps)","Total Energy (kJ/mole)"', *rows, ""]))
    slopes = []
    for after in (-1, 4):
        line = DriftLine()
        line.add_rows_of(path, after)
        slopes.append(line.slope)
    assert slopes[0] > 1.0
    assert slopes[1] == 0.0


def test_rebuilds_go_on_counting(springs: MakeSprings, tmp_path: Path) -> None:
    simulation = springs(openmm.VerletIntegrator(0.001))
    for append in (False, True):
        counted = {"number": 0}

        def list_rebuilds(counted: dict[str, int] = counted) -> int:
            counted["number"] += 1
            return counted["number"]

        path = tmp_path / "ledger.csv"
        simulation.reporters = [LedgerReporter(path, 1, append=append, list_rebuilds=list_rebuilds)]
        simulation.step(3)
    columns, rows = read_rows(tmp_path / "ledger.csv")
    assert columns[-2] == "List Rebuilds"
    assert (np.diff(rows[:, -2]) > 0).all()
    with pytest.raises(InputError, match="expected the columns"):
        simulation.reporters = [LedgerReporter(tmp_path / "ledger.csv", 1, append=True)]
        simulation.step(1)


def test_a_file_that_is_no_ledger_is_told(tmp_path: Path) -> None:
    (tmp_path / "ledger.csv").write_text('#"Step","Time (ps)"\n0,0.0\n')
    with pytest.raises(InputError, match="expected a column 'Total Energy"):
        LedgerReporter(tmp_path / "ledger.csv", 1, append=True)
