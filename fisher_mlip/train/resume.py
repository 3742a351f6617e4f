"""What a resumed training must share with the interrupted one, and the refusal when it does not."""

from pathlib import Path

from fisher_mlip.config import TrainConfig
from fisher_mlip.data.frames import Frames
from fisher_mlip.errors import InputError
from fisher_mlip.model.checkpoint import CONFIG_NAME, METRICS_NAME, WEIGHTS_NAME
from fisher_mlip.products import SUMMARY_NAME, read_json, refuse_existing
from fisher_mlip.train.checkpoint_io import SafetensorsIO
from fisher_mlip.train.curve import CURVE_NAME, PICTURE_NAME, read_curve
from fisher_mlip.train.order import ORDER_NAME
from fisher_mlip.train.record import STATE_NAME

# What may differ: how long to train, how often to save, and where to compute.
FREE_KEYS = {"max_epochs", "max_seconds", "checkpoint_every", "device"}

OWN_FILES = (
    *(CONFIG_NAME, METRICS_NAME, WEIGHTS_NAME),
    *(ORDER_NAME, STATE_NAME, CURVE_NAME, PICTURE_NAME, SUMMARY_NAME),
)


def training_identity(config: TrainConfig, training: Frames, validation: Frames) -> dict[str, str]:
    """Return what determines the course of a training, by name."""
    settings = config.model_dump(exclude=FREE_KEYS)
    model = settings.pop("model")
    named = {f"model.{key}": value for key, value in model.items()} | settings
    return {key: str(value) for key, value in named.items()} | {
        "reference energies": str(sorted(training.reference_energies.items())),
        "training frames": training.content_hash(),
        "validation frames": validation.content_hash(),
    }


def prepare_output(
    output: Path, identity: dict[str, str], *, max_epochs: int, resume: bool, overwrite: bool
) -> Path | None:
    """Make way for a training's files, and return the state to go on from, if there is one.

    A training that was killed before its first state starts anew.

    Raises:
        InputError: the output exists and neither `resume` nor `overwrite` is set; or nothing can
            be resumed there; or the configuration or the frames are not those of the state.
    """
    state = output / STATE_NAME
    # What a killed process was writing.
    for own in map(Path, OWN_FILES):
        for partial in output.glob(f".{own.stem}-*{own.suffix}"):
            partial.unlink()
    if resume and state.is_file():
        refuse_other_training(state, identity, max_epochs)
        return state
    begun = any((output / name).is_file() for name in (ORDER_NAME, CURVE_NAME))
    if not (resume and begun):
        refuse_existing(output, overwrite=overwrite)
    output.mkdir(parents=True, exist_ok=True)
    for name in OWN_FILES:
        (output / name).unlink(missing_ok=True)
    return None


def is_spent(config: TrainConfig, output: Path) -> bool:
    """Return whether a training has ended by its budget, so that a resume has nothing left to do.

    Args:
        config: with the budget that is asked for now.
        output: its folder.
    """
    if not (output / SUMMARY_NAME).is_file() or not (output / STATE_NAME).is_file():
        return False
    rows = read_curve(output / CURVE_NAME)
    if read_json(output / SUMMARY_NAME).get("status") != "finished" or not rows:
        return False
    is_late = config.max_seconds > 0.0 and rows[-1].seconds >= config.max_seconds
    return is_late or rows[-1].epoch >= config.max_epochs


def refuse_other_training(state: Path, identity: dict[str, str], max_epochs: int) -> None:
    """Refuse to go on from the state of another training, or from one beyond the last epoch.

    Raises:
        InputError: names the first difference.
    """
    content = SafetensorsIO().load_checkpoint(state)
    done = content.get("epoch", 0) + 1
    if done > max_epochs:
        raise InputError(
            f"cannot resume '{state.parent}': it has done {done} epochs, expected at most "
            f"max_epochs, {max_epochs}"
        )
    before = content.get("identity", {})
    for key, value in identity.items():
        if before.get(key) != value:
            raise InputError(
                f"cannot resume '{state.parent}': its {key} was {before.get(key)}, now it is "
                f"{value}; resume with the same, or name another output"
            )
