"""The radial functions of every edge with their slopes, all layers at once, differentiably."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fisher_mlip.fused.picking import LayerPlan
from fisher_mlip.model.interaction import Interaction
from fisher_mlip.model.network import EquivariantNetwork


def radial_rows(
    network: EquivariantNetwork,
    layers: Sequence[Interaction],
    plans: Sequence[LayerPlan],
    distances: Tensor,
) -> list[Tensor]:
    """Return of each layer the functions and their slopes, (n_edges, 2, n_functions).

    They are those of `Interaction.forward`, with the scale of the messages.

    Args:
        network: whose functions they are.
        layers: of the network.
        plans: of the layers.
        distances: (n_edges,), Å, below the cutoff.
    """
    basis, slopes = _bessel(distances, network.cutoff, network.n_basis)
    into = torch.cat([layer.radial[0].weight for layer in layers])
    hidden, steep = (torch.cat([basis, slopes]) @ into.t()).chunk(2)
    part = torch.sigmoid(hidden)
    made = hidden * part
    steep = steep * (part + made * (1.0 - part))
    envelope, fall = _envelope(distances, network.cutoff)
    envelope, fall = envelope * network.message_scale, fall * network.message_scale
    both = torch.stack([made * envelope, steep * envelope + made * fall], dim=1)
    width = into.shape[0] // len(layers)
    rows = []
    for k, (layer, plan) in enumerate(zip(layers, plans, strict=True)):
        own = both[:, :, k * width : (k + 1) * width].flatten(0, 1)
        matrix = plan.radial(layer.radial[-1].weight.flatten()).reshape(plan.n_functions, width)
        rows.append((own @ matrix.t()).reshape(-1, 2, plan.n_functions))
    return rows


def _bessel(distances: Tensor, cutoff: float, n_functions: int) -> tuple[Tensor, Tensor]:
    """Return `bessel_basis` and its slopes, (n_edges, n_functions) each."""
    waves = torch.arange(1, n_functions + 1, dtype=distances.dtype) * (math.pi / cutoff)
    r = distances[:, None]
    phases = r * waves
    inverse = math.sqrt(2.0 / cutoff) / r
    basis = torch.sin(phases) * inverse
    return basis, torch.cos(phases) * waves * inverse - basis / r


def _envelope(distances: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """Return `smooth_envelope` and its slope, (n_edges, 1) each."""
    u = (distances[:, None] / cutoff).clamp(max=1.0 - 1e-6)
    gap = 1.0 / (1.0 - u * u)
    value = torch.where(distances[:, None] < cutoff, torch.exp(1.0 - gap), 0.0)
    return value, value * gap * gap * (-2.0 / cutoff) * u
