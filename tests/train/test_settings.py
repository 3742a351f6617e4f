"""Presets, YAML and flags; the choice of frames."""

from pathlib import Path

import pytest

from fisher_mlip.config import TrainConfig
from fisher_mlip.data.frames import Frames
from fisher_mlip.errors import InputError
from fisher_mlip.train.settings import choose_frames, preset_names, training_config


def test_report_preset_is_the_configuration_without_values() -> None:
    assert training_config("report", None, {}) == TrainConfig()


def test_presets_are_valid() -> None:
    assert preset_names() == ["accurate", "default", "fast", "report"]
    sizes = [training_config(name, None, {}) for name in ("fast", "default", "accurate")]
    assert [size.max_seconds for size in sizes] == sorted(size.max_seconds for size in sizes)
    assert sizes[-1].max_seconds < 90 * 60 and all(size.ema_decay > 0.0 for size in sizes)


def test_flags_win_over_yaml_and_yaml_over_the_preset(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("batch_size: 7\nlearning_rate: 0.002\nmodel: {features: 16}\n")
    flags = {"learning_rate": 0.003, "cutoff": 4.0, "seed": None}
    config = training_config("accurate", path, flags)
    preset = training_config("accurate", None, {})
    assert (config.batch_size, config.learning_rate, config.model.features) == (7, 0.003, 16)
    assert config.model.cutoff == 4.0
    assert config.model.num_basis_functions == preset.model.num_basis_functions
    assert config.ema_decay == preset.ema_decay
    assert config.seed == preset.seed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch: 7", "unknown key 'batch'"),
        ("model: {widht: 16}", "unknown key 'model.widht'"),
        ("model: 3", "'model'"),
        ("batch_size: 0", "'batch_size'"),
        ("- 1", "expected 'key: value' lines"),
    ],
)
def test_a_wrong_yaml_is_refused_by_its_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        training_config("report", path, {})


def test_wrong_flags_and_presets_are_refused() -> None:
    with pytest.raises(InputError, match="'features'"):
        training_config("report", None, {"features": 0})
    with pytest.raises(InputError, match="expected a preset of accurate, default, fast, report, "):
        training_config("quick", None, {})


def test_frames_are_chosen_by_number_and_fraction(ethanol_frames: Frames) -> None:
    training, validation = choose_frames(
        ethanol_frames, None, validation_fraction=0.25, n_training=None, seed=0
    )
    assert (len(training), len(validation)) == (9, 3)
    hashes = {f.positions.tobytes() for f in training} | {f.positions.tobytes() for f in validation}
    assert len(hashes) == 12
    training, validation = choose_frames(
        ethanol_frames, None, validation_fraction=0.25, n_training=5, seed=0
    )
    assert (len(training), len(validation)) == (5, 3)
    with pytest.raises(InputError, match="at most 9 frames"):
        choose_frames(ethanol_frames, None, validation_fraction=0.25, n_training=10, seed=0)


def test_given_validation_frames_leave_all_others_for_training(ethanol_frames: Frames) -> None:
    given = ethanol_frames.subset(range(2))
    training, validation = choose_frames(
        ethanol_frames, given, validation_fraction=0.25, n_training=None, seed=0
    )
    assert training is ethanol_frames and validation is given
    training, validation = choose_frames(
        ethanol_frames, given, validation_fraction=0.25, n_training=4, seed=0
    )
    assert len(training) == 4 and validation is given
