"""Training from frames to a checkpoint, and going on from an interrupted one."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fisher_mlip.config import TrainConfig
from fisher_mlip.data.frames import Frames
from fisher_mlip.errors import InputError, UnstableRunError
from fisher_mlip.model import Checkpoint, load_checkpoint
from fisher_mlip.products import locked_folder, read_json
from fisher_mlip.train import errors, train_model
from fisher_mlip.train.curve import read_curve

Parts = tuple[Frames, Frames]
MakeConfig = Callable[..., TrainConfig]


def weights(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return dict(checkpoint.network.named_parameters())


def assert_identical(one: Checkpoint, other: Checkpoint) -> None:
    for name, value in weights(one).items():
        assert torch.equal(value, weights(other)[name]), name


def interrupt_after(epochs: int, kind: signal.Signals) -> Callable[..., None]:
    """Return a `show` that sends this process a signal after so many epochs."""

    def show(row: Any, used: float) -> None:
        if row.epoch == epochs:
            os.kill(os.getpid(), kind)

    return show


def test_training_lowers_the_error_and_saves_the_best(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig
) -> None:
    config = tiny_config(max_epochs=12, ema_decay=0.5)
    trained = train_model(config, *parts, tmp_path / "base")
    rows = read_curve(tmp_path / "base" / "training.csv")
    assert [row.epoch for row in rows] == list(range(1, 13))
    assert rows[-1].validation_force_mae_meV_A < 0.7 * rows[0].validation_force_mae_meV_A
    best = min(rows, key=lambda row: row.validation_loss)
    assert trained.metrics["best_epoch"] == best.epoch
    loaded = load_checkpoint(tmp_path / "base")
    assert_identical(loaded, trained)
    found = errors(loaded.network, parts[1], loaded.config)
    assert 1000 * found.force_mae == pytest.approx(best.validation_force_mae_meV_A, rel=1e-9)
    assert loaded.config.data_hash == parts[0].content_hash()
    provenance = loaded.config.provenance
    assert provenance["training"]["ema_decay"] == 0.5
    assert provenance["validation_hash"] == parts[1].content_hash()
    summary = read_json(tmp_path / "base" / "summary.json")
    assert summary["status"] == "finished"
    assert {p.name for p in (tmp_path / "base").iterdir()} == {
        *("weights.safetensors", "config.yaml", "metrics.json", "summary.json"),
        *("training.csv", "training_curve.png", "last.safetensors"),
    }


@pytest.mark.parametrize(("ema_decay", "kind"), [(0.0, signal.SIGINT), (0.9, signal.SIGTERM)])
def test_a_resumed_training_ends_bit_for_bit_as_an_uninterrupted_one(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig, ema_decay: float, kind: signal.Signals
) -> None:
    config = tiny_config(ema_decay=ema_decay, final_learning_rate=1e-4)
    whole = train_model(config, *parts, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_model(config, *parts, tmp_path / "parted", show=interrupt_after(2, kind))
    assert read_json(tmp_path / "parted" / "summary.json")["status"] == "interrupted"
    parted = train_model(config, *parts, tmp_path / "parted", resume=True)
    assert_identical(whole, parted)
    curves = [read_curve(tmp_path / name / "training.csv") for name in ("whole", "parted")]
    assert [row.epoch for row in curves[1]] == [1, 2, 3, 4]
    for one, other in zip(*curves, strict=True):
        assert one.training_loss == other.training_loss
        assert one.validation_loss == other.validation_loss
        assert one.learning_rate == other.learning_rate


def test_the_check_of_identity_sees_another_seed(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig
) -> None:
    one, other = (
        train_model(tiny_config(seed=seed, max_epochs=1), *parts, tmp_path / str(seed))
        for seed in (0, 1)
    )
    with pytest.raises(AssertionError):
        assert_identical(one, other)


def test_more_epochs_may_be_asked_for_on_resume(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig
) -> None:
    whole = train_model(tiny_config(), *parts, tmp_path / "whole")
    train_model(tiny_config(max_epochs=2), *parts, tmp_path / "parted")
    parted = train_model(tiny_config(), *parts, tmp_path / "parted", resume=True)
    # The learning rate is constant here, so the schedule does not depend on the number of epochs.
    assert_identical(whole, parted)
    again = train_model(tiny_config(), *parts, tmp_path / "parted", resume=True)
    assert_identical(again, parted)
    assert len(read_curve(tmp_path / "parted" / "training.csv")) == 4


def test_another_configuration_or_other_frames_are_not_resumed(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig
) -> None:
    folder = tmp_path / "base"
    train_model(tiny_config(max_epochs=1), *parts, folder)
    with pytest.raises(InputError, match=r"its learning_rate was 0\.01, now it is 0\.02"):
        train_model(tiny_config(learning_rate=0.02), *parts, folder, resume=True)
    with pytest.raises(InputError, match=r"its model\.features was 4, now it is 8"):
        model = tiny_config().model.changed(features=8)
        train_model(tiny_config(model=model), *parts, folder, resume=True)
    fewer = parts[0].subset(range(8))
    with pytest.raises(InputError, match="its training frames was"):
        train_model(tiny_config(), fewer, parts[1], folder, resume=True)


def test_an_existing_output_is_refused_and_overwritten_on_request(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig
) -> None:
    config = tiny_config(max_epochs=1)
    first = train_model(config, *parts, tmp_path / "base")
    (tmp_path / "base" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        train_model(config, *parts, tmp_path / "base")
    second = train_model(config.changed(seed=1), *parts, tmp_path / "base", overwrite=True)
    assert not torch.equal(first.network.readout, second.network.readout)
    assert (tmp_path / "base" / "notes.txt").read_text() == "mine"


def test_a_time_limit_ends_within_an_epoch_and_anneals(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig
) -> None:
    config = tiny_config(max_epochs=100_000, max_seconds=1.0, final_learning_rate=1e-5)
    trained = train_model(config, *parts, tmp_path / "base")
    rows = read_curve(tmp_path / "base" / "training.csv")
    assert 1.0 <= trained.metrics["seconds"] < 10.0
    assert rows[-1].learning_rate == pytest.approx(1e-5, rel=1e-6)
    assert rows[-1].epoch < 100_000
    before = {path.name: path.read_bytes() for path in (tmp_path / "base").iterdir()}
    again = train_model(config, *parts, tmp_path / "base", resume=True)
    assert again.metrics == trained.metrics
    assert {path.name: path.read_bytes() for path in (tmp_path / "base").iterdir()} == before
    longer = train_model(config.changed(max_seconds=2.0), *parts, tmp_path / "base", resume=True)
    assert longer.metrics["epochs"] > rows[-1].epoch


def test_a_loss_that_is_not_finite_stops_and_leaves_the_best(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig
) -> None:
    train_model(tiny_config(max_epochs=1), *parts, tmp_path / "good")
    frame = parts[0][0]
    assert frame.forces is not None
    # A finite label whose square is not.
    huge = parts[0].subset(range(8))
    huge = Frames((*huge, frame.relabelled(forces=frame.forces * 1e200)), huge.reference_energies)
    with pytest.raises(UnstableRunError, match=r"the loss is (inf|nan) in epoch 1, step \d"):
        train_model(tiny_config(), huge, parts[1], tmp_path / "bad")


def test_divergence_keeps_the_last_good_checkpoint(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fisher_mlip.train.module import ForceMatching

    step = ForceMatching.training_step

    def diverging(self: ForceMatching, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.current_epoch == 2:
            with torch.no_grad():
                self.network.readout.fill_(torch.nan)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ForceMatching, "training_step", diverging)
    with pytest.raises(UnstableRunError, match="the loss is nan in epoch 3, step 1"):
        train_model(tiny_config(), *parts, tmp_path / "base")
    kept = load_checkpoint(tmp_path / "base")
    assert np.isfinite(errors(kept.network, parts[1], kept.config).force_mae)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stress_weight": 1.0}, "expected stress in the training frames"),
        ({"energy_weight": 0.0, "forces_weight": 0.0}, "expected a weight above 0"),
    ],
)
def test_what_cannot_be_learned_is_refused_before_anything_is_written(
    tmp_path: Path,
    parts: Parts,
    tiny_config: MakeConfig,
    values: dict[str, float],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        train_model(tiny_config(**values), *parts, tmp_path / "base")
    with pytest.raises(InputError, match="expected at least one validation frame"):
        train_model(tiny_config(), parts[0], Frames(()), tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_resume_with_other_reference_energies_is_refused(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig
) -> None:
    folder = tmp_path / "base"
    train_model(tiny_config(max_epochs=1), *parts, folder)
    other = replace(parts[0], reference_energies={1: 1.0, 6: 2.0, 8: 3.0})
    with pytest.raises(InputError, match="its reference energies was"):
        train_model(tiny_config(max_epochs=2), other, parts[1], folder, resume=True)


def test_two_trainings_in_one_folder_are_refused(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig
) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    with locked_folder(folder), pytest.raises(InputError, match="another process is running"):
        train_model(tiny_config(max_epochs=1), *parts, folder, overwrite=True)
    assert not list(folder.iterdir())


def test_resume_beyond_the_last_epoch_is_refused(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig
) -> None:
    folder = tmp_path / "base"
    train_model(tiny_config(max_epochs=3), *parts, folder)
    with pytest.raises(InputError, match="it has done 3 epochs"):
        train_model(tiny_config(max_epochs=2), *parts, folder, resume=True)
    again = train_model(tiny_config(max_epochs=3), *parts, folder, resume=True)
    assert again.metrics["epochs"] == 3


def test_resume_clears_what_a_killed_process_was_writing(
    tmp_path: Path, parts: Parts, tiny_config: MakeConfig
) -> None:
    folder = tmp_path / "base"
    train_model(tiny_config(max_epochs=1), *parts, folder)
    (folder / ".last-0123abcd.safetensors").write_bytes(b"half")
    train_model(tiny_config(max_epochs=2), *parts, folder, resume=True)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
