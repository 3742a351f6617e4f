"""Energies, forces and stresses of a graph, by reverse-mode differentiation of the energy."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fisher_mlip.model.graph import Graph
from fisher_mlip.model.network import EquivariantNetwork


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of a graph.

    Attributes:
        energies: (n_frames,), eV, relative to isolated atoms, float64.
        forces: (n_atoms, 3), eV/Å, float64.
        stresses: (n_frames, 3, 3), eV/Å^3, dE/dε / V, float64, or None.
    """

    energies: Tensor
    forces: Tensor
    stresses: Tensor | None = None


def network_inputs(
    network: EquivariantNetwork, graph: Graph, positions: Tensor, cells: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the network's arguments; differences are taken in float64, then rounded."""
    vectors = graph.edge_vectors(positions, cells).to(network.energy_scale.dtype)
    return graph.species, vectors, graph.senders, graph.receivers


def sum_by_frame(values: Tensor, graph: Graph) -> Tensor:
    """Sum per-atom values (n_atoms, ...) over each frame, to (n_frames, ...)."""
    total = torch.zeros(
        (graph.n_frames, *values.shape[1:]), dtype=values.dtype, device=values.device
    )
    return total.index_add(0, graph.frame_index, values)


def evaluate(
    network: EquivariantNetwork, graph: Graph, *, stress: bool = False, training: bool = False
) -> Prediction:
    """Return energies and forces, with stresses on request.

    Args:
        network: the model.
        graph: one or more frames.
        stress: also dE/dε / V; meaningful for periodic frames.
        training: keep the graph, so that a loss of the forces can be differentiated.

    Returns:
        the prediction, detached unless `training`.
    """
    positions = graph.positions.detach().requires_grad_(True)
    moved, cells = positions, graph.cells
    strain = torch.zeros_like(graph.cells)
    if stress:
        # Knuth et al., Comput. Phys. Commun. 190, 33 (2015): a symmetric strain of positions
        # and cell together; its derivative over the volume is the stress.
        strain.requires_grad_(True)
        symmetric = 0.5 * (strain + strain.transpose(1, 2))
        moved = positions + torch.einsum("ni,nij->nj", positions, symmetric[graph.frame_index])
        cells = graph.cells + graph.cells @ symmetric
    energies = sum_by_frame(network(*network_inputs(network, graph, moved, cells)), graph)
    wanted = [positions, strain] if stress else [positions]
    gradients = torch.autograd.grad(
        energies.sum(), wanted, create_graph=training, materialize_grads=True
    )
    forces = -gradients[0]
    stresses = gradients[1] / torch.linalg.det(cells).abs()[:, None, None] if stress else None
    if training:
        return Prediction(energies, forces, stresses)
    return Prediction(
        energies.detach(), forces.detach(), stresses.detach() if stresses is not None else None
    )
