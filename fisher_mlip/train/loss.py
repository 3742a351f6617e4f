"""The weighted squared errors that training minimizes."""

import torch
from torch import Tensor

from fisher_mlip.config import TrainConfig
from fisher_mlip.model.potential import Prediction
from fisher_mlip.train.batches import Batch


def force_matching_loss(prediction: Prediction, batch: Batch, config: TrainConfig) -> Tensor:
    """Return w_E <(dE/N)^2> + w_F <dF^2> + w_S <(V dS/N)^2>, means over the labels that exist.

    Args:
        prediction: with its graph kept.
        batch: the labels; N and V are a frame's atoms and volume.
        config: the weights, (eV/atom)^-2, (eV/Å)^-2 and (eV/atom)^-2.

    Returns:
        a scalar without unit, float64.
    """
    n_atoms = batch.graph.atoms_per_frame()
    loss = config.energy_weight * _mean_square(
        prediction.energies / n_atoms, batch.energies / n_atoms
    ) + config.forces_weight * _mean_square(prediction.forces, batch.forces)
    if prediction.stresses is not None:
        volume_per_atom = torch.linalg.det(batch.graph.cells).abs() / n_atoms
        scale = volume_per_atom[:, None, None]
        loss = loss + config.stress_weight * _mean_square(
            prediction.stresses * scale, batch.stresses * scale
        )
    return loss


def _mean_square(predicted: Tensor, label: Tensor) -> Tensor:
    known = ~torch.isnan(label)
    return (predicted - label)[known].square().sum() / known.sum().clamp(min=1)
