"""`fisher-mlip train`: every field of the configuration is a flag, and a run from end to end."""

import inspect
import os
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fisher_mlip.cli import app
from fisher_mlip.cli.train import train
from fisher_mlip.config import ModelConfig, TrainConfig
from fisher_mlip.data import write_frames
from fisher_mlip.data.frames import Frames
from fisher_mlip.model import load_checkpoint
from fisher_mlip.products import read_json
from fisher_mlip.train.curve import EpochRow
from fisher_mlip.train.progress import EpochLines

SMALL = (
    *("--features", "4", "--max-degree", "1", "--num-iterations", "1"),
    *("--num-basis-functions", "4", "--radial-width", "4", "--device", "cpu"),
    *("--max-epochs", "2", "--batch-size", "4", "--dtype", "float64"),
)


@pytest.fixture
def frames_file(tmp_path: Path, ethanol_frames: Frames) -> Path:
    write_frames(tmp_path / "frames.xyz", ethanol_frames)
    return tmp_path / "frames.xyz"


def test_every_field_of_the_configuration_is_a_flag() -> None:
    fields = {*ModelConfig.model_fields, *TrainConfig.model_fields} - {"model"}
    assert fields <= set(inspect.signature(train).parameters)


def test_a_run_from_frames_to_checkpoint(frames_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "base"
    files = ["--data", str(frames_file), "-o", str(output), "--validation-fraction", "0.25"]
    chosen = ["--frames", "8", "--seed", "3", "--no-repulsion"]
    result = CliRunner().invoke(app, ["train", *files, *SMALL, *chosen])
    assert result.exit_code == 0, result.output
    assert f"wrote {output / 'weights.safetensors'}" in result.output.replace("\n", "")
    checkpoint = load_checkpoint(output)
    assert checkpoint.config.provenance["training_frames"] == 8
    assert checkpoint.config.provenance["validation_frames"] == 3
    assert checkpoint.config.provenance["training"]["seed"] == 3
    assert checkpoint.config.model.num_iterations == 1
    assert checkpoint.config.model.repulsion is False
    assert read_json(output / "summary.json")["epochs"] == 2

    again = CliRunner().invoke(app, ["train", *files, *SMALL])
    assert again.exit_code == 2
    assert "pass --overwrite" in again.output


def test_a_resumed_training_knows_its_data_and_settings(frames_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "base"
    files = ["--data", str(frames_file), "-o", str(output), "--validation-fraction", "0.25"]
    first = CliRunner().invoke(app, ["train", *files, *SMALL, "--preset", "accurate"])
    assert first.exit_code == 0, first.output
    resumed = CliRunner().invoke(app, ["train", "-o", str(output), "--resume"])
    assert resumed.exit_code == 0, resumed.output
    more = CliRunner().invoke(app, ["train", "-o", str(output), "--resume", "--max-epochs", "3"])
    assert more.exit_code == 0, more.output
    assert read_json(output / "summary.json")["epochs"] == 3
    assert load_checkpoint(output).config.provenance["training"]["ema_decay"] == 0.99
    other = CliRunner().invoke(app, ["train", "-o", str(output), "--resume", "--frames", "5"])
    assert other.exit_code == 2
    assert "training frames was" in other.output


def test_a_training_that_was_killed_at_once_is_resumed(frames_file: Path, tmp_path: Path) -> None:
    """The record of what was asked for is the first file that is written."""
    done, killed = tmp_path / "done", tmp_path / "killed"
    arguments = ["train", "--data", str(frames_file), *SMALL, "-o", str(done)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    killed.mkdir()
    (killed / "training.yaml").write_bytes((done / "training.yaml").read_bytes())
    resumed = CliRunner().invoke(app, ["train", "-o", str(killed), "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert read_json(killed / "summary.json")["epochs"] == 2


def test_without_data_it_is_said_what_is_missing(tmp_path: Path) -> None:
    for options in ([], ["--resume"]):
        result = CliRunner().invoke(app, ["train", "-o", str(tmp_path / "base"), *options])
        assert result.exit_code == 2
        assert "expected frames to train on, --data FILE" in result.output


def test_an_interruption_says_how_far_it_came_and_how_to_go_on(
    frames_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []

    def interrupt(self: EpochLines, row: EpochRow, used: float) -> None:
        shown.append(row.epoch)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(EpochLines, "__call__", interrupt)
    output = tmp_path / "base"
    files = ["--data", str(frames_file), "-o", str(output), "--max-epochs", "9"]
    result = CliRunner().invoke(app, ["train", *SMALL, *files])
    assert result.exit_code == 130
    assert shown == [1], "the epoch that was cut short is not shown"
    words = "interrupted: 1 of at most 9 epochs complete, the best model so far is that of epoch "
    assert result.stderr.startswith(words)
    assert f"; go on with: fisher-mlip train -o {output} --resume" in result.stderr


def test_frames_without_forces_are_refused_before_anything_is_written(
    tmp_path: Path, ethanol_frames: Frames
) -> None:
    bare = Frames(
        tuple(frame.relabelled(forces=None) for frame in ethanol_frames),
        ethanol_frames.reference_energies,
    )
    write_frames(tmp_path / "bare.xyz", bare)
    output = tmp_path / "base"
    result = CliRunner().invoke(
        app, ["train", "--data", str(tmp_path / "bare.xyz"), "-o", str(output)]
    )
    assert result.exit_code == 2
    assert "no forces" in result.output
    assert not output.exists()


def test_energies_alone_can_be_trained_on(tmp_path: Path, ethanol_frames: Frames) -> None:
    path, output = tmp_path / "energies.xyz", tmp_path / "base"
    bare = Frames(tuple(frame.relabelled(forces=None) for frame in ethanol_frames))
    write_frames(path, bare)
    files = ["--data", str(path), "-o", str(output), "--validation-fraction", "0.25"]
    result = CliRunner().invoke(app, ["train", *files, *SMALL, "--forces-weight", "0"])
    assert result.exit_code == 0, result.output
    assert "force MAE" not in result.stdout


def test_validation_frames_are_not_training_frames(frames_file: Path, tmp_path: Path) -> None:
    files = ["--data", str(frames_file), "--validation", str(frames_file)]
    result = CliRunner().invoke(app, ["train", *files, "-o", str(tmp_path / "base"), *SMALL])
    assert result.exit_code == 2
    assert "cannot judge" in result.output
    assert not (tmp_path / "base").exists()


def test_validation_energies_of_another_method_are_refused(
    frames_file: Path, tmp_path: Path, ethanol_frames: Frames
) -> None:
    other = [
        frame.relabelled(positions=frame.positions + 1.0, energy=(frame.energy or 0.0) - 4209.0)
        for frame in ethanol_frames
    ]
    write_frames(tmp_path / "other.xyz", Frames(tuple(other)))
    files = ["--data", str(frames_file), "--validation", str(tmp_path / "other.xyz")]
    result = CliRunner().invoke(app, ["train", *files, "-o", str(tmp_path / "base"), *SMALL])
    assert result.exit_code == 2
    assert "do not belong to their E0s" in result.output
