"""Train: labelled frames -> a checkpoint."""

from fisher_mlip.train.loop import train_model
from fisher_mlip.train.metrics import ForceEnergyErrors, errors

__all__ = ["ForceEnergyErrors", "errors", "train_model"]
