"""Spread of sampled heads: how far what the frames leave open moves energies and forces.

The samples are deviations of theta from its solution, drawn from the posterior; as the energy is
linear in theta, one evaluation of the network serves all of them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fisher_mlip.errors import InputError
from fisher_mlip.model.graph import Graph
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import network_inputs, sum_by_frame


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Standard deviations over the sampled heads.

    Attributes:
        energies: (n_frames,), eV, of the energy less its mean over the training frames' atoms.
        forces: (n_atoms,), eV/Å, of the force as a vector: the square root of the summed variances
            of its components; None unless asked for.
    """

    energies: Tensor
    forces: Tensor | None = None


def estimate_uncertainty(
    network: EquivariantNetwork, graph: Graph, *, forces: bool = True, differentiable: bool = False
) -> Uncertainty:
    """Return the uncertainty of energies and forces of a graph.

    One evaluation for the energies; forces take a reverse pass per sampled head, batched: for 16
    of them that costs as much as some 12 to 32 evaluations with forces (scripts/head_cost.py).

    Args:
        network: finetuned, with sampled heads.
        graph: one or more frames; `graph.positions` may require a gradient.
        forces: also those of each atom.
        differentiable: keep the graph, so that the result can be differentiated by positions.

    Raises:
        InputError: the model has no sampled heads.
    """
    if network.samples is None:
        raise InputError(
            "expected a model with sampled heads to tell its uncertainty, found one without: "
            "finetune makes them"
        )
    positions = graph.positions
    if not positions.requires_grad:
        positions = positions.detach().requires_grad_(True)
    inputs = network_inputs(network, graph, positions, graph.cells)
    deviations = sum_by_frame(network.sampled_deviations(*inputs), graph)
    energies = deviations.square().mean(dim=1).sqrt()
    found = None
    if forces:
        found = _force_deviations(deviations, positions, differentiable=differentiable)
    if differentiable:
        return Uncertainty(energies, found)
    return Uncertainty(energies.detach(), None if found is None else found.detach())


def _force_deviations(deviations: Tensor, positions: Tensor, *, differentiable: bool) -> Tensor:
    n_samples = deviations.shape[1]
    directions = torch.eye(n_samples, dtype=deviations.dtype, device=deviations.device)
    (gradients,) = torch.autograd.grad(
        deviations.sum(dim=0),
        positions,
        grad_outputs=directions,
        is_grads_batched=True,
        retain_graph=True,
        create_graph=differentiable,
    )
    spread: Tensor = gradients.square().sum(dim=2).mean(dim=0).sqrt()
    return spread
