"""Processes that are killed or interrupted while they train."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fisher_mlip.config import TrainConfig, write_yaml
from fisher_mlip.data import read_frames, write_frames
from fisher_mlip.data.frames import Frames
from fisher_mlip.model import load_checkpoint
from fisher_mlip.train import train_model
from fisher_mlip.train.checkpoint_io import SafetensorsIO
from fisher_mlip.train.curve import read_curve

EPOCHS = 40


def start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    run = "from fisher_mlip.cli import main; main()"
    command = [sys.executable, "-c", run, "train", str(folder / "train.yaml")]
    files = ["--data", "training.xyz", "--validation", "validation.xyz", "-o", "killed"]
    return subprocess.Popen(
        [*command, *files, *options], cwd=folder, stderr=subprocess.PIPE, text=True
    )


def wait_for_rows(process: "subprocess.Popen[str]", curve: Path, n_rows: int) -> None:
    """Wait until so many epochs are written, and fail when the process ends before."""
    deadline = time.monotonic() + 120.0
    while not curve.is_file() or len(read_curve(curve)) < n_rows:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no epochs were written"
        time.sleep(0.01)


@pytest.mark.slow
def test_kill_and_ctrl_c_lose_at_most_an_epoch_and_change_nothing(
    tmp_path: Path, parts: tuple[Frames, Frames], tiny_config: Callable[..., TrainConfig]
) -> None:
    write_frames(tmp_path / "training.xyz", parts[0])
    write_frames(tmp_path / "validation.xyz", parts[1])
    config = tiny_config(max_epochs=EPOCHS, ema_decay=0.9, final_learning_rate=1e-4)
    write_yaml(tmp_path / "train.yaml", config.model_dump())
    killed, curve = tmp_path / "killed", tmp_path / "killed" / "training.csv"

    process = start(tmp_path)
    wait_for_rows(process, curve, 3)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    process.communicate()
    rows = len(read_curve(curve))
    assert rows < EPOCHS, "it was too fast to be killed"
    state = SafetensorsIO().load_checkpoint(killed / "last.safetensors")
    assert state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] >= rows - 1
    load_checkpoint(killed)

    process = start(tmp_path, "--resume")
    wait_for_rows(process, curve, rows + 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, process.communicate()[1]
    assert "interrupted" in process.communicate()[1]
    assert len(read_curve(curve)) < EPOCHS
    assert not [path.name for path in killed.iterdir() if path.suffix in {".ckpt", ".pt"}]

    read = read_frames(tmp_path / "training.xyz"), read_frames(tmp_path / "validation.xyz")
    resumed = train_model(config, *read, killed, resume=True)
    whole = train_model(config, *read, tmp_path / "whole")
    assert [row.epoch for row in read_curve(curve)] == list(range(1, EPOCHS + 1))
    for name, value in whole.network.named_parameters():
        assert torch.equal(value, dict(resumed.network.named_parameters())[name]), name


def test_a_training_killed_before_its_first_state_starts_anew(
    tmp_path: Path, parts: tuple[Frames, Frames], tiny_config: Callable[..., TrainConfig]
) -> None:
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "training.csv").write_text("epoch,seconds\n")
    trained = train_model(tiny_config(max_epochs=1), *parts, tmp_path / "early", resume=True)
    assert trained.metrics["epochs"] == 1


def test_half_a_row_and_rows_beyond_the_state_are_cut(
    tmp_path: Path, parts: tuple[Frames, Frames], tiny_config: Callable[..., TrainConfig]
) -> None:
    folder = tmp_path / "base"
    train_model(tiny_config(max_epochs=2), *parts, folder)
    curve = folder / "training.csv"
    lines = curve.read_text().splitlines(keepends=True)
    curve.write_text("".join([*lines, "3" + lines[2][1:], "4,1"]))
    train_model(tiny_config(max_epochs=3), *parts, folder, resume=True)
    assert [row.epoch for row in read_curve(curve)] == [1, 2, 3]


def test_nothing_is_unpickled(
    tmp_path: Path,
    parts: tuple[Frames, Frames],
    tiny_config: Callable[..., TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*args: object, **options: object) -> None:
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr(torch, "load", refused)
    monkeypatch.setattr(torch, "save", refused)
    train_model(tiny_config(max_epochs=1, ema_decay=0.9), *parts, tmp_path / "base")
    config = tiny_config(max_epochs=2, ema_decay=0.9)
    train_model(config, *parts, tmp_path / "base", resume=True)
    with pytest.raises(AssertionError, match="pickle"):
        torch.load(os.devnull)
