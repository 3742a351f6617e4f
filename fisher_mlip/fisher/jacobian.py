"""Jacobians of the summed last-layer features by positions."""

import torch
from torch import Tensor

from fisher_mlip.model.graph import Graph
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import network_inputs


def feature_jacobian(network: EquivariantNetwork, graph: Graph) -> Tensor:
    """Return G = dD/dx with D_k the sum over a frame's atoms of feature k.

    One reverse pass per feature. Frames do not interact, so the sum over all frames has the
    Jacobian of each frame in the rows of its own atoms.

    Args:
        network: the model; only its features matter.
        graph: one or more frames.

    Returns:
        (n_atoms, 3, D), eV/Å, float64.
    """
    positions = graph.positions.detach().requires_grad_(True)
    features = network.last_layer_features(
        *network_inputs(network, graph, positions, graph.cells)
    ).double()
    totals = features.sum(dim=0)
    columns = [
        torch.autograd.grad(
            total, positions, retain_graph=k + 1 < len(totals), materialize_grads=True
        )[0]
        for k, total in enumerate(totals.unbind())
    ]
    return torch.stack(columns, dim=-1)
