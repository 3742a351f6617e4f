"""A checkpoint from a score-matched theta, and the check that its temperature was the frames'."""

import copy

from fisher_mlip.errors import InputError
from fisher_mlip.fisher.heads import set_theta
from fisher_mlip.fisher.score_matching import ScoreMatched
from fisher_mlip.model.checkpoint import Checkpoint, torch_dtype

# A temperature this far off, and by more than this many standard errors, is another temperature.
FAR, SURELY = 0.15, 3.0
# Of the stated temperature: an error as large as this tells nothing.
UNKNOWN = 0.5


def require_temperature(found: ScoreMatched, *, trust: bool) -> None:
    """Check that frames and model show about the temperature that was stated.

    Raises:
        InputError: they show another, which ruins what is solved from it.
    """
    error = found.model_temperature_error
    off = abs(found.model_temperature - found.temperature)
    if trust:
        return
    if not off < max(FAR * found.temperature, SURELY * error):
        raise InputError(
            f"expected frames of {found.temperature:g} K, found that with this model they look "
            f"like {found.model_temperature:.0f} +- {error:.0f} K: state the temperature they were "
            "sampled at (--trust-temperature if it is the model that is off)"
        )
    if not error < UNKNOWN * found.temperature:
        raise InputError(
            f"expected frames that tell their temperature, found {found.model_temperature:.0f} +- "
            f"{error:.0f} K with this model, {found.temperature:g} K stated: more frames, or a "
            "better model, are needed (--trust-temperature to go on)"
        )


def refuse_head(checkpoint: Checkpoint) -> None:
    """Refuse a model with a head: what is solved for is its readout.

    Raises:
        InputError: the model has a head.
    """
    if checkpoint.config.head.kind != "last-layer":
        raise InputError(
            f"expected a checkpoint without a head, found one with '{checkpoint.config.head.kind}'"
        )


def score_matched_checkpoint(checkpoint: Checkpoint, found: ScoreMatched) -> Checkpoint:
    """Return the model with its readout corrected; it must have no head.

    Raises:
        InputError: the model has a head.
    """
    refuse_head(checkpoint)
    network = copy.deepcopy(checkpoint.network)
    # Sampled heads, if any, are of the theta that was.
    network.samples = None
    if found.score.ridge is not None:
        set_theta(network, found.score.theta)
    numbers = found.summary()
    numbers.pop("ridge_path")
    provenance = {**checkpoint.config.provenance, "fisher": numbers}
    config = checkpoint.config.model_copy(update={"provenance": provenance, "sampled_heads": 0})
    return Checkpoint(network.to(torch_dtype(config.dtype)), config)
