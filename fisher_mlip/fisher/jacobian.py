"""Jacobians of the summed last-layer features by positions and by strain."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from fisher_mlip.fisher.dependence import (
    OutgoingEdges,
    Seeds,
    displacement_seeds,
    first_pairs,
    next_pairs,
    strain_seeds,
)
from fisher_mlip.fisher.invariant_slopes import Groups, invariant_slopes
from fisher_mlip.fisher.tangents import Linearization
from fisher_mlip.model.graph import Graph
from fisher_mlip.model.head import LayerInvariants, LinearHead
from fisher_mlip.model.interaction import Interaction
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import network_inputs, sum_by_frame

PAIRS_AT_ONCE = 1200
# A reverse pass costs about this many times the forward evaluation it differentiates.
REVERSE_COST = 2.5


@dataclass(frozen=True, eq=False)
class Jacobian:
    """Features summed over each frame, and their derivatives; float64.

    Attributes:
        totals: (n_frames, D), eV.
        displacement: (n_atoms, 3, D), G = dD/dx, eV/Å.
        strain: (n_frames, 6, D), dD/d(strain) by xx, yy, zz, yz, xz, xy, eV; or None.
    """

    totals: Tensor
    displacement: Tensor
    strain: Tensor | None = None


def feature_jacobian(
    network: EquivariantNetwork, graph: Graph, *, strain: bool = False
) -> Jacobian:
    """Return the Jacobian of the features that are solved for, by the cheaper of two ways.

    Forward: a tangent per coordinate, only where it is not zero (see `tangents`). Reverse: a pass
    per feature. Frames do not interact, so the sum over all frames has the Jacobian of each frame
    in the rows of its own atoms.

    Args:
        network: the model; only its features matter.
        graph: one or more frames.
        strain: also the derivatives by strain.
    """
    if reverse_is_cheaper(network, graph):
        return reverse_jacobian(network, graph, strain=strain)
    return forward_jacobian(network, graph, strain=strain)


def reverse_is_cheaper(network: EquivariantNetwork, graph: Graph) -> bool:
    """Compare the multiplications of both ways, from the counts of edges and of dependences."""
    layers = [layer for layer in network.layers if isinstance(layer, Interaction)]
    work = [float(layer.product.couplings.shape[1]) for layer in layers]
    reverse = REVERSE_COST * feature_count(network) * len(graph.senders) * sum(work)
    seeds = displacement_seeds(graph, torch.float32)
    outgoing = OutgoingEdges(graph)
    pairs = first_pairs(seeds, graph.receivers, graph.n_atoms)
    forward = 6.0 * len(graph.senders) * sum(work)
    for cost in work[1:]:
        triples = outgoing.of(pairs)
        forward += 3.0 * len(triples[0]) * cost
        if forward > reverse:
            return True
        pairs = next_pairs(pairs, *triples, graph.receivers)
    return False


def reverse_jacobian(
    network: EquivariantNetwork, graph: Graph, *, strain: bool = False
) -> Jacobian:
    """Return the Jacobian by one reverse pass per feature."""
    positions = graph.positions.detach().requires_grad_(True)
    deformation = torch.zeros_like(graph.cells).requires_grad_(True)
    symmetric = 0.5 * (deformation + deformation.transpose(1, 2))
    moved = positions + torch.einsum("ni,nij->nj", positions, symmetric[graph.frame_index])
    cells = graph.cells + graph.cells @ symmetric
    features = network.last_layer_features(*network_inputs(network, graph, moved, cells)).double()
    columns, strained = [], []
    totals = features.sum(dim=0)
    for k, total in enumerate(totals.unbind()):
        by_position, by_strain = torch.autograd.grad(
            total,
            [positions, deformation],
            retain_graph=k + 1 < len(totals),
            materialize_grads=True,
        )
        columns.append(by_position)
        strained.append(_voigt(by_strain))
    return Jacobian(
        sum_by_frame(features.detach(), graph),
        torch.stack(columns, dim=-1),
        torch.stack(strained, dim=-1) if strain else None,
    )


def _voigt(derivative: Tensor) -> Tensor:
    """Return (n, 6) of symmetric (n, 3, 3) derivatives, as `strain_seeds` orders them."""
    return torch.stack(
        [derivative[:, i, j] for i, j in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]], dim=1
    )


@torch.no_grad()
def forward_jacobian(
    network: EquivariantNetwork, graph: Graph, *, strain: bool = False
) -> Jacobian:
    """Return the Jacobian by forward mode, some hundred dependent pairs at a time."""
    at = Linearization(network, graph)
    scale = network.energy_scale.double()
    totals = scale * _feature_totals(at)
    seeds = displacement_seeds(graph, at.vectors.dtype)
    displacement = _by_sources(at, seeds, graph.n_atoms)
    strained = None
    if strain:
        strained = scale * _by_sources(at, strain_seeds(graph, at.vectors), graph.n_frames)
    return Jacobian(totals, scale * displacement, strained)


def feature_count(network: EquivariantNetwork) -> int:
    """Return D, the number of features that are solved for."""
    if network.head is None:
        return len(network.readout)
    return int(network.head.n_species * network.head.n_invariants)


def _head_blocks(head: LinearHead) -> list[tuple[int, LayerInvariants]]:
    """Return which of the layers' features each block of the head is of, and the block."""
    blocks = [cast(LayerInvariants, block) for block in head.blocks]
    return [*enumerate(blocks[:-1]), (-1, blocks[-1])]


def _feature_totals(at: Linearization) -> Tensor:
    head, graph = at.network.head, at.graph
    if head is None:
        return sum_by_frame(at.nodes[-1].double(), graph)
    invariants = head.invariants(at.nodes).double()
    cell = graph.frame_index * head.n_species + graph.species
    totals = invariants.new_zeros((graph.n_frames * head.n_species, invariants.shape[1]))
    return totals.index_add_(0, cell, invariants).reshape(graph.n_frames, -1)


def _by_sources(at: Linearization, seeds: Seeds, n_sources: int) -> Tensor:
    """Return (n_sources, n_directions, D), float64, in chunks of sources that bound the memory."""
    shape = (n_sources, seeds.n_directions, feature_count(at.network))
    result = torch.zeros(shape, dtype=torch.float64, device=at.vectors.device)
    for low, high in _chunks(at, seeds, n_sources):
        chunk = seeds.of((seeds.source >= low) & (seeds.source < high))
        if len(chunk.edge) > 0:
            result[low:high] = _slopes(at, chunk, low, high)
    return result


def _slopes(at: Linearization, seeds: Seeds, low: int, high: int) -> Tensor:
    """Return (high - low, n_directions, D) of the sources from low to high."""
    head = at.network.head
    tangents = at.tangents(seeds)
    if head is None:
        pairs, tangent = tangents[-1]
        return Groups(pairs.source - low, high - low).sums(tangent)
    parts = []
    for layer, block in _head_blocks(head):
        pairs, tangent = tangents[layer]
        species = at.graph.species[pairs.atom]
        group = (pairs.source - low) * head.n_species + species
        groups = Groups(group, (high - low) * head.n_species)
        slopes = invariant_slopes(block, at.nodes[layer][pairs.atom], tangent, groups)
        parts.append(slopes.reshape(high - low, head.n_species, seeds.n_directions, -1))
    return torch.cat(parts, dim=3).transpose(1, 2).flatten(2)


def _chunks(at: Linearization, seeds: Seeds, n_sources: int) -> list[tuple[int, int]]:
    """Return ranges of sources that some thousand (source, atom) pairs depend on."""
    pairs = first_pairs(seeds, at.graph.receivers, at.graph.n_atoms)
    for _ in at.layers[1:]:
        pairs = next_pairs(pairs, *at.outgoing.of(pairs), at.graph.receivers)
    reach = torch.bincount(pairs.source, minlength=n_sources)
    limit = 3 * PAIRS_AT_ONCE // seeds.n_directions
    ranges, low, used = [], 0, 0
    for source, count in enumerate(reach.tolist()):
        if used + count > limit and used > 0:
            ranges.append((low, source))
            low, used = source, 0
        used += count
    ranges.append((low, n_sources))
    return ranges
