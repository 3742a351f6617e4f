"""Which way a training takes its gradients: over the fused operators, or through plain torch."""

import torch

from fisher_mlip.config import TrainConfig
from fisher_mlip.fused.loading import why_not_served
from fisher_mlip.fused.training import FusedTraining
from fisher_mlip.model.network import EquivariantNetwork


def why_not_fused(config: TrainConfig) -> str:
    """Return in words why the fused operators do not serve a training, "" if they do.

    They are compiled for it where that was not done before.
    """
    if config.device != "cpu" and torch.cuda.is_available():
        return "the fused operators are for CPUs"
    if config.stress_weight > 0.0:
        return "the fused operators have no gradients of a stress"
    return why_not_served(config.model, build=True)


def fused_training(
    network: EquivariantNetwork, config: TrainConfig
) -> tuple[FusedTraining | None, str]:
    """Return the network over the operators, or None, and which it is in words."""
    reason = why_not_fused(config)
    if reason:
        return None, f"plain: {reason}"
    return FusedTraining(network), "fused"
