"""`fisher-mlip analyze` as it is typed."""

import html
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fisher_mlip.analysis.style import shown_label
from fisher_mlip.cli.analyze import analyze
from fisher_mlip.errors import InputError
from fisher_mlip.figures import figure

MakeRun = Callable[..., Path]
app = typer.Typer()
app.command()(analyze)


def test_writes_a_report_and_prints_verdicts_and_paths(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [str(make_run("base", breaks={2: 4})), str(make_run("head"))]
    output = tmp_path / "report"
    options = ["-o", str(output), "--labels", "before, after", "--discard-fraction", "0.2"]
    result = CliRunner().invoke(app, [*runs, *options])
    assert result.exit_code == 0, result.output
    assert "before: unstable: 1 of 8 molecules broke a bond" in result.stdout
    assert "after: no break seen: no bond broke" in result.stdout
    assert f"wrote {output / 'report.html'}" in result.stdout
    summary = json.loads((output / "summary.json").read_text())
    assert [run["label"] for run in summary["runs"]] == ["before", "after"]
    assert summary["options"]["discard_fraction"] == 0.2


def test_the_threshold_reaches_the_analysis(make_run: MakeRun, tmp_path: Path) -> None:
    run = str(make_run(breaks={2: 4}, stretch=0.04))
    for threshold, status in (("0.5", "no break seen"), ("0.3", "unstable")):
        output = tmp_path / threshold
        arguments = [run, "-o", str(output), "--threshold", threshold]
        assert CliRunner().invoke(app, arguments).exit_code == 0
        summary = json.loads((output / "summary.json").read_text())
        assert summary["runs"][0]["status"] == status


@pytest.mark.parametrize("label", ["a $x_{$ b", "<b>&'"])
def test_labels_are_shown_as_they_are(make_run: MakeRun, tmp_path: Path, label: str) -> None:
    """matplotlib reads mathematics between dollars, and fails on what is none."""
    output = tmp_path / "report"
    arguments = [str(make_run()), "-o", str(output), "--labels", label]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert f"{label}: no break seen" in result.stdout
    assert label in html.unescape((output / "report.html").read_text())
    assert "<b>" not in (output / "report.html").read_text()


def test_a_label_with_an_underscore_is_in_the_legend(tmp_path: Path) -> None:
    with figure(tmp_path / "a.png") as (axes,):
        axes.plot([0.0, 1.0], label=shown_label("_run"))
        assert axes.get_legend_handles_labels()[1] == [" _run"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threshold", "0"], "'threshold' in options"),
        (["--labels", "one,two"], "expected 1 different labels"),
        (["--reference", "nowhere.xyz"], r"nowhere\.xyz"),
    ],
)
def test_what_cannot_be_used_is_refused(
    make_run: MakeRun, tmp_path: Path, options: list[str], words: str
) -> None:
    output = tmp_path / "report"
    result = CliRunner().invoke(app, [str(make_run()), "-o", str(output), *options])
    assert isinstance(result.exception, InputError)
    with pytest.raises(InputError, match=words):
        raise result.exception
    assert not output.exists()


def test_an_existing_output_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "mine.txt").write_text("")
    result = CliRunner().invoke(app, ["nowhere", "-o", str(tmp_path / "report")])
    assert isinstance(result.exception, InputError)
    assert "--overwrite" in str(result.exception)


def test_a_run_is_not_replaced_by_its_report(make_run: MakeRun) -> None:
    run = make_run()
    for output in (run, run.parent):
        result = CliRunner().invoke(app, [str(run), "-o", str(output), "--overwrite"])
        assert isinstance(result.exception, InputError)
        assert "name another output" in str(result.exception)
    assert (run / "ledger.csv").is_file()


def test_standard_output_is_ours_alone(make_run: MakeRun, tmp_path: Path) -> None:
    """mdtraj's C code prints to the process's standard output; a pipe must not get it."""
    command = [sys.executable, "-c", "from fisher_mlip.cli import main; main()", "analyze"]
    options = [str(make_run()), "-o", str(tmp_path / "report")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("run: no break seen")
    assert all(line.startswith("wrote ") for line in lines[1:]), done.stdout
