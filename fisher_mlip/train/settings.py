"""A training's configuration from a preset, a YAML file and flags; its frames from files."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from fisher_mlip.config import ModelConfig, TrainConfig, parse_config, read_yaml
from fisher_mlip.data.frames import Frames
from fisher_mlip.data.split import part_size, split_into_parts
from fisher_mlip.errors import InputError


def training_config(preset: str, path: Path | None, flags: dict[str, Any]) -> TrainConfig:
    """Return the configuration: flags win over the YAML file, and that over the preset.

    Args:
        preset: `fast`, `default`, `accurate` or `report`.
        path: YAML with some or all keys of TrainConfig (those of the network under `model`).
        flags: values by name, of TrainConfig and ModelConfig alike; None where not given.

    Raises:
        InputError: an unknown preset or key, or a value that is not allowed.
    """
    config = parse_config(read_preset(preset), TrainConfig, f"preset '{preset}'")
    if path is not None:
        content = read_yaml(path)
        parse_config(content, TrainConfig, f"'{path}'")
        model = config.model_dump()["model"] | content.get("model", {})
        config = parse_config(
            config.model_dump() | content | {"model": model}, TrainConfig, f"'{path}'"
        )
    return with_flags(config, flags)


def with_flags(config: TrainConfig, flags: dict[str, Any]) -> TrainConfig:
    """Return the configuration with the values of TrainConfig and ModelConfig that are not None.

    Raises:
        InputError: a value that is not allowed.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    of_model = {key: given.pop(key) for key in ModelConfig.model_fields if key in given}
    return config.changed(model=config.model.changed(**of_model).model_dump(), **given)


def preset_names() -> list[str]:
    """Return the presets there are."""
    folder = files("fisher_mlip.train") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir())


def read_preset(name: str) -> Any:
    """Return a preset's keys and values.

    Raises:
        InputError: no such preset.
    """
    if name not in preset_names():
        raise InputError(f"expected a preset of {', '.join(preset_names())}, found '{name}'")
    entry = files("fisher_mlip.train") / "presets" / f"{name}.yaml"
    return yaml.safe_load(entry.read_text(encoding="utf-8"))


def choose_frames(
    frames: Frames,
    validation: Frames | None,
    *,
    validation_fraction: float,
    n_training: int | None,
    seed: int,
) -> tuple[Frames, Frames]:
    """Return the frames to train on and those to validate on.

    Args:
        frames: to train on, and to take validation frames from where none are given.
        validation: frames to validate on, or None.
        validation_fraction: part of `frames` to validate on where none are given.
        n_training: how many to train on, chosen at random; None for all there are.
        seed: of the choice.

    Raises:
        InputError: fewer frames than asked for, or none left for one of the two.
    """
    sizes = {}
    if validation is None:
        sizes["validation"] = max(1, part_size(validation_fraction, len(frames)))
    rest = len(frames) - sum(sizes.values())
    sizes["training"] = rest if n_training is None else n_training
    if validation is not None and n_training in (None, len(frames)):
        return frames, validation
    if sizes["training"] > rest:
        raise InputError(
            f"expected at most {rest} frames to train on from '{frames.source}', "
            f"found --frames {n_training}"
        )
    parts = split_into_parts(frames, sizes, seed).parts
    return parts["training"], validation or parts["validation"]
