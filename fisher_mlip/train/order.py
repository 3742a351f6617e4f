"""What a training was asked for, kept in its folder so that `--resume` need not be told again."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from fisher_mlip.config import Config, TrainConfig, parse_config, read_config
from fisher_mlip.errors import InputError
from fisher_mlip.train.settings import training_config, with_flags

ORDER_NAME = "training.yaml"
DEFAULT_PRESET = "default"


class DataConfig(Config):
    """Where the frames come from.

    Attributes:
        data: frames to train on.
        validation: frames that choose the best epoch; None for a part of `data`.
        validation_fraction: that part.
        frames: how many of `data` to train on, chosen at random; None for all.
        e0s: file of isolated-atom energies instead of those in `data`.
        npz_unit: of energies in `.npz` archives.
        trust_units: whether the check of the units is left out.
    """

    data: Path
    validation: Path | None = None
    validation_fraction: float = Field(0.1, ge=0.0, le=0.9)
    frames: int | None = Field(None, ge=1)
    e0s: Path | None = None
    npz_unit: Literal["kcal/mol", "kJ/mol", "eV", "Hartree"] = "kcal/mol"
    trust_units: bool = False

    def absolute(self) -> "DataConfig":
        """Return the same files by paths that hold wherever a command is given."""
        paths = {"data": self.data, "validation": self.validation, "e0s": self.e0s}
        return self.changed(**{name: path and path.resolve() for name, path in paths.items()})


class TrainingOrder(Config):
    """All that a training is made from."""

    data: DataConfig
    settings: TrainConfig


def training_order(
    output: Path,
    *,
    preset: str | None,
    file: Path | None,
    data: dict[str, Any],
    flags: dict[str, Any],
    resume: bool,
) -> TrainingOrder:
    """Return the order from options over a file over a preset, or over that of the run to resume.

    Args:
        output: the training's folder.
        preset: its name; None for `report`, or for the settings of the training to resume.
        file: YAML of settings.
        data: values by name, of DataConfig; None where not given.
        flags: the same, of TrainConfig and ModelConfig.
        resume: whether what `output` recorded is gone on with.

    Raises:
        InputError: a value that is not allowed, or no frames to train on.
    """
    recorded = output / ORDER_NAME
    before = read_config(recorded, TrainingOrder) if resume and recorded.is_file() else None
    given = {key: value for key, value in data.items() if value is not None}
    if before is None:
        if "data" not in given:
            found = f"'{output}' has no {ORDER_NAME} that names them" if resume else "found none"
            raise InputError(f"expected frames to train on, --data FILE: {found}")
        files = parse_config(given, DataConfig, "the options")
    else:
        files = before.data.changed(**given)
    if before is None or preset is not None or file is not None:
        settings = training_config(preset or DEFAULT_PRESET, file, flags)
    else:
        settings = with_flags(before.settings, flags)
    return TrainingOrder(data=files.absolute(), settings=settings)
