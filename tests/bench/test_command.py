"""`fisher-mlip bench` as a user meets it; no figure of time is asserted."""

import os
import signal
import tempfile
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fisher_mlip.bench import steps
from fisher_mlip.cli.app import app
from fisher_mlip.cli.bench import NOT_OF_A_RUN, bench
from fisher_mlip.cli.simulate import simulate
from fisher_mlip.export import Artefact, potential
from fisher_mlip.export.lammps_artefact import LammpsArtefact
from fisher_mlip.model import Checkpoint
from fisher_mlip.products import read_json
from fisher_mlip.simulate.driving import Run, advance
from tests.lammps.engine import needs_lammps

GAS = ["--molecules", "4", "--timestep", "0.1", "--platform", "Reference"]


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders go in these tests."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def run_command(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def check_sums(summary: dict[str, Any]) -> None:
    """Whole parts and the rest are the step."""
    whole = [part for part in summary["parts"] if not part["of"]]
    parts = sum(part["time"]["median"] for part in whole)
    total = summary["ms_per_step"]["median"]
    assert total > 0.0
    assert parts + summary["rest_ms"] == pytest.approx(total)
    assert sum(part["share_percent"] for part in whole) == pytest.approx(100.0 * parts / total)


def test_a_gas(artefact: Artefact, scratch: Path, tmp_path: Path) -> None:
    target = tmp_path / "bench"
    done = run_command("bench", artefact.path, *GAS, "--steps", 12, "-o", target)
    assert done.exit_code == 0, done.output
    assert "fixed pairs within molecules" in done.output
    assert "what to change" in done.output
    assert f"wrote {target / 'summary.json'}" in done.output
    assert sorted(path.name for path in target.iterdir()) == ["bench.png", "summary.json"]
    summary = read_json(target / "summary.json")
    check_sums(summary)
    names = [part["name"] for part in summary["parts"]]
    assert names[:2] == ["list", "model"]
    assert {"engine", "ledger", "molecules", "trajectory", "checkpoint", "watch"} <= set(names)
    assert summary["system"]["atoms"] == 36
    assert summary["what_to_change"]
    assert list(scratch.iterdir()) == []
    told = run_command("info", target).output
    assert "bench of a run" in told
    assert summary["what_to_change"][0] in told
    again = run_command("bench", artefact.path, *GAS, "--steps", 12, "-o", target)
    assert again.exit_code == 2
    assert "exists: name another one or pass --overwrite" in again.output


def test_a_liquid_without_an_output(artefact: Artefact, box: Path, scratch: Path) -> None:
    options = ["--system", box, "--ensemble", "npt", "--temperature", 300, "--timestep", 0.1]
    done = run_command("bench", artefact.path, *options, "--no-watch", "--steps", 20)
    assert done.exit_code == 0, done.output
    for name in ("barostat", "of it network", "rest, not explained", "162 atoms"):
        assert name in done.output
    assert "watch " not in done.output
    assert "wrote" not in done.output
    assert list(scratch.iterdir()) == []


def test_a_run_folder_in_place_of_the_model(artefact: Artefact, tmp_path: Path) -> None:
    run, target = tmp_path / "run", tmp_path / "bench"
    made = run_command(
        *("simulate", artefact.path, *GAS, "--steps", 4, "--report-interval", 3, "-o", run)
    )
    assert made.exit_code == 0, made.output
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    done = run_command("bench", run, "--steps", 6, "--trajectory-interval", 7, "-o", target)
    assert done.exit_code == 0, done.output
    config = read_json(target / "summary.json")["config"]
    assert (config["molecules"], config["report_interval"]) == (4, 3)
    assert (config["trajectory_interval"], config["steps"]) == (7, 6)
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump({"molecules": 2}))
    both = run_command("bench", run, "--config", file)
    assert both.exit_code == 2
    assert "expected a run folder or a configuration, found both" in both.output


def test_what_costs_and_could_run_otherwise_is_told(
    headed: tuple[Checkpoint, Artefact], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An old export with rows of uncertainty, under r-RESPA."""
    old = "the model was exported before there were fused operators: export it again"
    monkeypatch.setattr(potential, "why_not_fused", lambda _: old)
    options = ["--inner", "opls", "--respa-steps", 2, "--uncertainty-interval", 1, "--no-watch"]
    options += ["--route", "python"]
    target = tmp_path / "bench"
    done = run_command("bench", headed[1].path, *GAS, *options, "--steps", 8, "-o", target)
    assert done.exit_code == 0, done.output
    assert old in done.output
    assert "2 steps of the inner potential" in done.output
    said = read_json(target / "summary.json")["what_to_change"]
    for start in ("export the model again: it is older", "--uncertainty-interval"):
        assert [sentence for sentence in said if sentence.startswith(start)], said


def test_ctrl_c_leaves_nothing(
    artefact: Artefact, scratch: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def press(run: Run) -> None:
        advance(run)
        if run.simulation.currentStep == 8:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(steps, "advance", press)
    done = run_command("bench", artefact.path, *GAS, "--steps", 50, "-o", tmp_path / "bench")
    assert done.exit_code == 130
    assert done.output.strip().endswith("interrupted")
    assert not (tmp_path / "bench").exists()
    assert list(scratch.iterdir()) == []


def test_an_explosion_exits_with_3(exploding: Artefact, scratch: Path, tmp_path: Path) -> None:
    target = tmp_path / "bench"
    done = run_command("bench", exploding.path, *GAS, "--steps", 12, "-o", target)
    assert done.exit_code == 3
    assert "not finite" in done.output
    assert not target.exists()
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--steps", "0"], "'steps' in the options"),
        (["--dtype", "float32"], "export again with --dtype float32"),
        (["--ensemble", "npt"], "expected a periodic system for the ensemble npt"),
        (["--friction", "2"], "friction 2.0 is of the Langevin thermostat"),
        (["--ranks", "2"], "ranks 2 is of the engine lammps"),
        (["--uncertainty-interval", "5"], "carries no sampled heads"),
        (["--route", "telepathy"], "'route' in the options"),
        (["--config", "absent.yaml"], "expected a file 'absent.yaml'"),
        (["--engine", "lammps"], "expected format 'fisher-mlip lammps 1'"),
    ],
)
def test_refusals_are_one_sentence(
    artefact: Artefact, options: list[str], sentence: str, scratch: Path, tmp_path: Path
) -> None:
    common = [] if "--engine" in options else GAS
    done = run_command("bench", artefact.path, *common, *options, "-o", tmp_path / "bench")
    assert done.exit_code == 2
    assert sentence in done.output
    assert done.output.count("\n") == 1
    assert not (tmp_path / "bench").exists()
    assert list(scratch.iterdir()) == []


def test_no_model_is_told() -> None:
    done = run_command("bench")
    assert done.exit_code == 2
    assert "expected an exported model" in done.output


def test_it_has_every_option_of_simulate_that_says_what_is_run() -> None:
    ours, theirs = signature(bench).parameters, signature(simulate).parameters
    assert set(theirs) - set(ours) == {"on_alarm", "resume", "restart"}
    shared = set(theirs) - set(NOT_OF_A_RUN)
    assert all(ours[name] == theirs[name] for name in shared)


@needs_lammps
@pytest.mark.usefixtures("plugin")
def test_in_lammps(in_float64: LammpsArtefact, box: Path, scratch: Path, tmp_path: Path) -> None:
    options = ["--engine", "lammps", "--system", box, "--temperature", 300, "--timestep", 0.1]
    target = tmp_path / "bench"
    done = run_command("bench", in_float64.path, *options, "--steps", 20, "-o", target)
    assert done.exit_code == 0, done.output
    summary = read_json(target / "summary.json")
    check_sums(summary)
    assert [part["name"] for part in summary["parts"]][:2] == ["Pair", "Neigh"]
    # LAMMPS accounts for all of its loop.
    assert abs(summary["rest_ms"]) < 0.05 * summary["ms_per_step"]["median"]
    assert summary["system"]["own"] == 162
    assert summary["system"]["ghosts"] > 0
    assert "not in these steps: dump every 100" in done.output
    assert list(scratch.iterdir()) == []
