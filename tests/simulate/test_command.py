"""`fisher-mlip simulate`: options, exit codes, one sentence for a failure."""

from pathlib import Path
from typing import Any

import ase.io
import pytest
import yaml
from ase import Atoms
from typer.testing import CliRunner

from fisher_mlip.cli import app
from fisher_mlip.data.ethanol import ethanol_positions
from fisher_mlip.export import Artefact
from fisher_mlip.products import read_json

from .conftest import read_rows

SHORT = ["--molecules", "1", "--steps", "4", "--report-interval", "2", "--platform", "Reference"]


def _simulate(*options: object) -> Any:
    return CliRunner().invoke(app, ["simulate", *map(str, options)])


def test_run_and_resume(artefact: Artefact, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = _simulate(artefact.path, *SHORT, "--timestep", 0.5, "-o", run)
    assert done.exit_code == 0, done.output
    assert f"wrote {run}/summary.json" in done.output
    assert read_rows(run / "ledger.csv")[:, 0].tolist() == [0, 2, 4]
    more = _simulate("--resume", "--steps", 8, "-o", run)
    assert more.exit_code == 0, more.output
    assert read_rows(run / "ledger.csv")[:, 0].tolist() == [0, 2, 4, 6, 8]


def test_restart_auto_starts_then_goes_on(artefact: Artefact, tmp_path: Path) -> None:
    """One command line for a queue: it starts a run, goes on with it, and lets it be at its end."""
    run = tmp_path / "run"
    line = [artefact.path, *SHORT, "--timestep", 0.5, "-o", run, "--restart", "auto"]
    for steps in (4, 8, 8):
        done = _simulate(*line, "--steps", steps)
        assert done.exit_code == 0, done.output
        assert read_rows(run / "ledger.csv")[:, 0].tolist() == list(range(0, steps + 1, 2))
    other = _simulate(artefact.path, *SHORT, "-o", run, "--restart", "auto")
    assert other.exit_code != 0
    assert "was run with timestep 0.5, resumed with 1.0" in " ".join(other.output.split())


def test_options_win_over_the_file(artefact: Artefact, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    content = {"model": str(artefact.path), "molecules": 1, "steps": 6, "platform": "Reference"}
    path.write_text(yaml.safe_dump(content))
    done = _simulate("--config", path, "--steps", 2, "-o", tmp_path / "run")
    assert done.exit_code == 0, done.output
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (written["steps"], written["molecules"]) == (2, 1)


def test_an_explosion_exits_with_3(exploding: Artefact, tmp_path: Path) -> None:
    done = _simulate(exploding.path, *SHORT, "-o", tmp_path / "run")
    assert done.exit_code == 3
    assert "not finite" in done.output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--dtype", "float32"], "export again with --dtype float32"),
        (["--ensemble", "npv"], "'ensemble' in the options: input should be 'nve', 'nvt' or 'npt'"),
        (["--ensemble", "npt"], "expected a periodic system for the ensemble npt"),
        (["--pressure", "2"], "pressure_bar 2.0 is of the ensemble npt, found the ensemble nve"),
        (["--friction", "2"], "friction 2.0 is of the Langevin thermostat"),
        (["--thermostat", "langevin"], "thermostat langevin is of the ensemble nvt or npt"),
        (["--restart", "always"], "expected --restart auto, found --restart always"),
        (["--restart", "auto", "--resume"], "expected --restart auto or --resume, found both"),
        (["--restart", "auto", "--overwrite"], "expected --restart auto or --overwrite"),
        (["--steps", "0"], "'steps' in the options"),
        (["--timestep", "-1"], "'timestep' in the options"),
        (["--config", "absent.yaml"], "expected a file 'absent.yaml'"),
        (["--resume"], "expected a run to resume"),
    ],
)
def test_refusals_are_one_sentence(
    artefact: Artefact, options: list[str], sentence: str, tmp_path: Path
) -> None:
    done = _simulate(artefact.path, *SHORT, *options, "-o", tmp_path / "run")
    assert done.exit_code == 2
    assert sentence in done.output
    assert done.output.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_run_folder_in_place_of_the_model_is_told(artefact: Artefact, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert _simulate(artefact.path, *SHORT, "-o", run).exit_code == 0
    for options in (["--resume"], []):
        done = _simulate(run, *options, "--steps", 8)
        assert done.exit_code == 2
        assert f"simulate --resume -o {run}" in done.output


def test_bonds_by_distance_are_told_and_recorded(artefact: Artefact, tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    ase.io.write(path, Atoms("C2OH6", positions=ethanol_positions()))
    done = _simulate(artefact.path, "--system", path, *SHORT, "-o", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "note: 8 bonds, named by no record" in done.stderr
    reference = read_json(tmp_path / "run" / "reference.json")
    assert len(reference["bonds"]) == 8
    assert reference["bonds_from"].startswith("8 bonds")
    more = _simulate("--resume", "--steps", 8, "-o", tmp_path / "run")
    assert more.exit_code == 0, more.output


def test_no_model_is_told(tmp_path: Path) -> None:
    assert "expected an exported model" in _simulate("-o", tmp_path / "run").output
