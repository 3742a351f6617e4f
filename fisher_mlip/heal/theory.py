"""Is a calculator of the level of theory that the model was trained on?"""

from dataclasses import replace
from typing import Any

from fisher_mlip.config import HealConfig
from fisher_mlip.data.frames import Frames
from fisher_mlip.data.labeling import label_frames
from fisher_mlip.errors import InputError
from fisher_mlip.model.checkpoint import Checkpoint
from fisher_mlip.train.metrics import errors

# Times the held-out error that forces at the start may be off by.
TIMES_HELD_OUT = 2.0
MEV_PER_EV = 1000.0
HELD_OUT = "held_out_force_rmse_meV_A"


def check_theory(
    frames: Frames, calculator: Any, checkpoint: Checkpoint, heal: HealConfig
) -> float:
    """Compare a calculator's forces with the model's where the model should know them.

    A calculator that differs from the model's own by less than the model's error cannot be told
    from it. Energies are not compared: they may count from another zero.

    Args:
        frames: of the start of a run.
        calculator: of ASE.
        checkpoint: the model, with its held-out error.
        heal: the calculator's name, and what it may be off by.

    Returns:
        the root mean square difference of force components, eV/Å.

    Raises:
        InputError: it is beyond twice the held-out error and `heal.mismatch`, or the calculator
            fails.
    """
    found = force_rmse(checkpoint, label_frames(frames, calculator, isolated_atoms=False).frames)
    held_out, bound = held_out_error(checkpoint) or 0.0, largest_error(checkpoint, heal.mismatch)
    # Written so that a NaN is refused.
    if not found <= bound:
        raise InputError(
            f"expected '{heal.calculator}' to be of the level of theory that the model was trained "
            f"on, with forces within {bound:.3g} eV/Å of it at the run's start (twice its held-out "
            f"error of {held_out:.3g} and heal.mismatch {heal.mismatch:g}), found {found:.3g} eV/Å"
        )
    return found


def force_rmse(checkpoint: Checkpoint, frames: Frames) -> float:
    """Return the root mean square error of force components, eV/Å; energies are not looked at."""
    return errors(checkpoint.network, bare(frames), checkpoint.config).force_rmse


def bare(frames: Frames) -> Frames:
    """Return frames with their forces alone: energies may count from another zero."""
    return replace(frames, frames=tuple(f.relabelled(energy=None, stress=None) for f in frames))


def largest_error(checkpoint: Checkpoint, mismatch: float) -> float:
    """Return how large a model's force error may be where it knows what it sees, eV/Å."""
    return TIMES_HELD_OUT * (held_out_error(checkpoint) or 0.0) + mismatch


def held_out_error(checkpoint: Checkpoint) -> float | None:
    """Return the root mean square force error that the finetune found, eV/Å; None if unknown."""
    found = checkpoint.metrics.get(HELD_OUT)
    return None if found is None else float(found) / MEV_PER_EV
