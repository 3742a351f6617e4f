"""A checkpoint from a score-matched theta, and the check that its temperature was the frames'."""

import copy

from fisher_mlip.errors import InputError
from fisher_mlip.fisher.heads import set_theta
from fisher_mlip.fisher.score_matching import ScoreMatched
from fisher_mlip.model.checkpoint import Checkpoint, torch_dtype

# A temperature this far off, and by more than this many standard errors, is another temperature.
FAR, SURELY = 0.15, 3.0


def require_temperature(found: ScoreMatched, *, trust: bool) -> None:
    """Check that frames and model show about the temperature that was stated.

    Raises:
        InputError: they show another, which ruins what is solved from it.
    """
    off = abs(found.model_temperature - found.temperature)
    if trust or off < max(FAR * found.temperature, SURELY * found.model_temperature_error):
        return
    raise InputError(
        f"expected frames of {found.temperature:g} K, found that with this model they look like "
        f"{found.model_temperature:.0f} +- {found.model_temperature_error:.0f} K: state the "
        "temperature they were sampled at (--trust-temperature if it is the model that is off)"
    )


def score_matched_checkpoint(checkpoint: Checkpoint, found: ScoreMatched) -> Checkpoint:
    """Return the model with its readout corrected; it must have no head.

    Raises:
        InputError: the model has a head.
    """
    if checkpoint.config.head.kind != "last-layer":
        raise InputError(
            f"expected a checkpoint without a head, found one with '{checkpoint.config.head.kind}'"
        )
    network = copy.deepcopy(checkpoint.network)
    if found.score.ridge is not None:
        set_theta(network, found.score.theta)
    numbers = found.summary()
    numbers.pop("ridge_path")
    provenance = {**checkpoint.config.provenance, "fisher": numbers}
    config = checkpoint.config.model_copy(update={"provenance": provenance})
    return Checkpoint(network.to(torch_dtype(config.dtype)), config)
