"""LAMMPS runs of `simulate`: what is read of them is what LAMMPS wrote, however they ended."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from mdtraj.formats import LAMMPSTrajectoryFile
from typer.testing import CliRunner

from fisher_mlip.analysis import analyze_runs, read_run
from fisher_mlip.analysis.lammps_dump import read_index
from fisher_mlip.cli.app import app
from fisher_mlip.errors import InputError
from fisher_mlip.units import BOLTZMANN_EV_PER_K

from .lammps_runs import COLUMNS, TIMESTEP, dumped, edit, frames_of, rows_of


def check_own(folder: Path) -> None:
    """Assert that rows and frames are those of the part that was not redone."""
    run, names = read_run(folder), COLUMNS.split()
    first, second = rows_of(folder / "log.lammps"), rows_of(folder / "log.part0002.lammps")
    rows = np.concatenate([first[first[:, 0] <= 600], second[second[:, 0] > 600]])
    ledger = run.ledger
    columns = dict(zip(names, rows.T, strict=True))
    np.testing.assert_allclose(ledger.time_ps, np.arange(0, 2001, 10) * TIMESTEP / 1000.0)
    np.testing.assert_allclose(ledger.time_ps[:61], columns["time"][:61])
    np.testing.assert_array_equal(ledger.potential, columns["pe"])
    np.testing.assert_array_equal(ledger.kinetic, columns["ke"])
    np.testing.assert_array_equal(ledger.total, columns["etotal"])
    np.testing.assert_array_equal(ledger.temperature, columns["temp"])
    np.testing.assert_array_equal(ledger.element_temperatures["H"], columns["c_T_H"])
    np.testing.assert_array_equal(ledger.element_temperatures["O"], columns["c_T_O"])
    assert set(ledger.element_temperatures) == {"H", "O"}
    # Energies are in eV: those of motion are what the temperature says.
    expected = 1.5 * 53 * BOLTZMANN_EV_PER_K * ledger.temperature
    np.testing.assert_allclose(ledger.kinetic, expected, rtol=1e-4)
    steps, positions = frames_of(run)
    np.testing.assert_allclose(steps, np.arange(100, 2001, 100))
    dumps = [dumped(folder / f"trajectory{part}.lammpstrj") for part in ("", ".part0002")]
    for step, frame in zip(np.rint(steps).astype(int), positions, strict=True):
        np.testing.assert_allclose(frame, dumps[int(step > 600)][step], atol=2e-5)


def test_a_run_that_was_killed_and_resumed_is_read_once(own: Path) -> None:
    check_own(own)
    assert read_run(own).notes == ()
    report = analyze_runs([own])
    assert report.runs[0].notes == ()
    assert report.runs[0].stability is not None
    assert report.runs[0].stability.n_frames == 20
    (own / "checkpoint.json").unlink()
    check_own(own)


def test_the_check_of_own_runs_finds_what_is_wrong(own: Path, tmp_path: Path) -> None:
    def swap(folder: Path, first: str, second: str) -> None:
        (folder / first).rename(folder / "other")
        (folder / second).rename(folder / first)
        (folder / "other").rename(folder / second)

    def break_log(folder: Path) -> None:
        swap(folder, "log.lammps", "log.part0002.lammps")

    def break_dump(folder: Path) -> None:
        swap(folder, "trajectory.lammpstrj", "trajectory.part0002.lammpstrj")

    def break_units(folder: Path) -> None:
        for log in folder.glob("log.*"):
            edit(log, "units metal", "units real")

    def break_time(folder: Path) -> None:
        edit(folder / "config.yaml", "timestep: 0.5", "timestep: 1.0")

    def break_record(folder: Path) -> None:
        edit(folder / "checkpoint.json", "600", "700")

    def break_steps(folder: Path) -> None:
        edit(folder / "trajectory.lammpstrj", "TIMESTEP\n300\n", "TIMESTEP\n301\n")

    breaks = (break_log, break_dump, break_units, break_time, break_record, break_steps)
    for sabotage in breaks:
        folder = shutil.copytree(own, tmp_path / sabotage.__name__)
        check_own(folder)
        sabotage(folder)
        with pytest.raises((AssertionError, InputError)):
            check_own(folder)


def test_a_log_that_ends_anywhere_is_read_to_its_last_whole_row(own: Path) -> None:
    log = own / "log.part0002.lammps"
    text = log.read_bytes()
    rows = rows_of(log)
    end = text.index(b"Loop time")
    (own / "summary.json").unlink()
    for cut in range(end - 700, end):
        log.write_bytes(text[:cut])
        run = read_run(own)
        n_whole = len(rows) - text[cut:end].count(b"\n")
        assert run.ledger.n_rows_read == 60 + n_whole
        np.testing.assert_array_equal(run.ledger.total[61:], rows[1:n_whole, 5])
        assert any("torn line" in note for note in run.notes) is (text[cut - 1 : cut] != b"\n")
        assert "was cut off; read to step" in run.notes[0]


def test_a_dump_that_ends_anywhere_is_read_to_its_last_whole_frame(user: Path) -> None:
    dump = user / "run.lammpstrj"
    text, whole = dump.read_bytes(), dumped(dump)
    last = text.rindex(b"ITEM: TIMESTEP")
    for cut in (*range(last - 60, last + 260), *range(len(text) - 60, len(text) + 1)):
        dump.write_bytes(text[:cut])
        index = read_index(dump)
        expected = len(whole) - 1 - (cut < last) + (cut == len(text))
        assert len(index.steps) == expected, text[:cut][-80:]
        assert index.is_torn is (cut not in (last, len(text)))
    dump.write_bytes(text[:-5])
    run = read_run(user)
    steps, positions = frames_of(run)
    np.testing.assert_allclose(steps, np.arange(20, 1000, 20))
    for step, frame in zip(np.rint(steps).astype(int), positions, strict=True):
        np.testing.assert_allclose(frame, whole[step], atol=2e-5)
    assert any("torn frame" in note for note in analyze_runs([user]).runs[0].notes)
    # By itself mdtraj takes the frame, with a coordinate that lost its last digits.
    with LAMMPSTrajectoryFile(str(dump)) as handle:
        xyz, _, _ = handle.read()
    assert len(xyz) == len(whole)
    assert not np.allclose(xyz[-1], whole[1000], atol=1e-9)


def test_what_is_missing_from_an_own_run_is_noted(own: Path) -> None:
    (own / "trajectory.part0002.lammpstrj").unlink()
    shutil.copy(own / "trajectory.lammpstrj", own / "trajectory.part0003.lammpstrj")
    text = (own / "trajectory.lammpstrj").read_text()
    (own / "trajectory.lammpstrj").write_text(text[: text.index("TIMESTEP\n500\n") - 6])
    notes = " ".join(analyze_runs([own]).runs[0].notes)
    assert "trajectory.part0002.lammpstrj is missing" in notes
    assert "trajectory.part0003.lammpstrj is no part in checkpoint.json" in notes
    assert "trajectory.lammpstrj holds 4 of its 6 frames" in notes
    edit(own / "checkpoint.json", "trajectory.lammpstrj", "trajectory.dcd")
    with pytest.raises(InputError, match=r"trajectory\.part0002\.lammpstrj and the like"):
        read_run(own)


def test_the_command_reports_runs_of_both_kinds(made: Path, tmp_path: Path) -> None:
    output = tmp_path / "report"
    folders = [str(made / name) for name in ("own", "real", "tilted")]
    result = CliRunner().invoke(app, ["analyze", *folders, "-o", str(output)])
    assert result.exit_code == 0, result.output
    summary = json.loads((output / "summary.json").read_text())
    assert [run["molecules_watched"] for run in summary["runs"]] == [27, 27, 27]
    assert summary["runs"][1]["config"]["engine"] == "lammps"
    assert "friction" not in summary["runs"][1]["config"]
    page = (output / "report.html").read_text()
    assert "inferred from log.lammps: units real, NVE (fix nve), timestep 0.5 fs, 300 K" in page
    assert yaml.safe_load((made / "own" / "config.yaml").read_text())["engine"] == "lammps"
