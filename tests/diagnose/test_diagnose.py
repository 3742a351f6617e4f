"""A real run whose step is too long, diagnosed from its folder."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fisher_mlip.cli.app import app
from fisher_mlip.config import SimulateConfig
from fisher_mlip.errors import InputError
from fisher_mlip.export import write_artefact
from fisher_mlip.model import Checkpoint
from fisher_mlip.simulate import run_simulation


@pytest.fixture(scope="module")
def too_long(fitted_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ethanols that the model holds together, at 1.5 fs."""
    folder = tmp_path_factory.mktemp("diagnosed")
    artefact = write_artefact(folder, fitted_checkpoint, "float64")
    config = SimulateConfig(
        model=str(artefact.path),
        molecules=2,
        temperature=100.0,
        timestep=1.5,
        steps=4,
        report_interval=1,
        trajectory_interval=2,
        checkpoint_interval=2,
        platform="Reference",
        route="torchforce",
    )
    run_simulation(config, folder / "run")
    return folder / "run"


def test_a_step_that_is_too_long_is_named(too_long: Path, tmp_path: Path) -> None:
    output = tmp_path / "diagnosis"
    arguments = ["diagnose", str(too_long), "--ps", "0.24", "-o", str(output)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    summary = json.loads((output / "summary.json").read_text())
    assert summary["cause"] == "timestep", summary["verdict"]
    base, half = summary["segments"]
    assert 3.0 < base["fluctuation"]["value"] / half["fluctuation"]["value"] < 5.5
    assert "timestep: " in done.stdout
    assert "not run: float64" in done.stdout
    assert (output / "diagnose.png").is_file()
    # Both start from the same state: the first rows are the same to the last digits.
    first, second = (
        float((output / name).read_text().splitlines()[1].split(",")[4])
        for name in ("ledger-as-it-was.csv", "ledger-half-the-step.csv")
    )
    assert first == pytest.approx(second, abs=1e-9)


def test_what_cannot_be_run_again_is_refused(too_long: Path, tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["diagnose", str(tmp_path), "-o", str(tmp_path / "out")])
    assert refused.exit_code == 2
    assert "expected a run folder" in refused.output
    with pytest.raises(InputError, match="50 steps or more"):
        done = CliRunner().invoke(
            app, ["--debug", "diagnose", str(too_long), "--ps", "0.01", "-o", str(tmp_path / "o")]
        )
        assert done.exception is not None
        raise done.exception
    assert not (tmp_path / "o").exists()
