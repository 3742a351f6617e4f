"""Jacobians of the summed last-layer features by positions and by strain."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

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
from fisher_mlip.fisher.fused_layers import FusedLayers, FusedLinearization
from fisher_mlip.fisher.invariant_slopes import Groups, invariant_slopes, invariant_totals
from fisher_mlip.fisher.tangents import Linearization
from fisher_mlip.model.graph import Graph
from fisher_mlip.model.head import LayerInvariants, LinearHead
from fisher_mlip.model.interaction import Interaction
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import network_inputs, sum_by_frame

# What the fused operators take for a message, both value and tangent, is so much less.
FUSED_GAIN = 3.0
# A reverse pass costs about this many times the forward evaluation it differentiates.
REVERSE_COST = 2.5

Linearized: TypeAlias = Linearization | FusedLinearization


@dataclass(frozen=True, eq=False)
class Jacobian:
    """Features summed over each frame, and their derivatives; float64.

    Attributes:
        totals: (n_frames, D), eV.
        displacement: (n_atoms, 3, D), G = dD/dx, eV/Å, of all atoms or of those asked for.
        strain: (n_frames, 6, D), dD/d(strain) by xx, yy, zz, yz, xz, xy, eV; or None.
    """

    totals: Tensor
    displacement: Tensor
    strain: Tensor | None = None


def feature_jacobian(
    network: EquivariantNetwork,
    graph: Graph,
    *,
    strain: bool = False,
    layers: FusedLayers | None = None,
    atoms: Tensor | None = None,
) -> Jacobian:
    """Return the Jacobian of the features that are solved for, by the cheapest way.

    Forward: a tangent per coordinate, only where it is not zero (see `tangents`), or over the fused
    operators for whole frames. Reverse: a pass per feature. Frames do not interact, so the sum over
    all frames has the Jacobian of each frame in the rows of its own atoms.

    Args:
        network: the model; only its features matter.
        graph: one or more frames.
        strain: also the derivatives by strain.
        layers: the network's, None to go without.
        atoms: (n,), by whose positions; None: by those of all.
    """
    if reverse_is_cheaper(network, graph, atoms):
        found = reverse_jacobian(network, graph, strain=strain)
        return found if atoms is None else replace(found, displacement=found.displacement[atoms])
    if layers is not None and not whole_frames_are_cheaper(network, graph, atoms):
        layers = None
    return forward_jacobian(network, graph, strain=strain, layers=layers, atoms=atoms)


def reverse_is_cheaper(
    network: EquivariantNetwork, graph: Graph, atoms: Tensor | None = None
) -> bool:
    """Compare the multiplications of both ways, from the counts of edges and of dependences."""
    work = _work(network)
    reverse = REVERSE_COST * feature_count(network) * len(graph.senders) * sum(work)
    forward = 6.0 * len(graph.senders) * sum(work)
    for cost, n_sent in zip(work[1:], _sent_messages(graph, atoms), strict=False):
        forward += 3.0 * n_sent * cost
        if forward > reverse:
            return True
    return False


def whole_frames_are_cheaper(
    network: EquivariantNetwork, graph: Graph, atoms: Tensor | None = None
) -> bool:
    """Compare messages over the fused operators, of whole frames, with those not zero alone."""
    work = _work(network)
    frames = graph.frame_index if atoms is None else graph.frame_index[atoms]
    n_sources = torch.bincount(frames, minlength=graph.n_frames)
    n_whole = int(n_sources[graph.frame_index[graph.receivers]].sum())
    pairs = zip(work[1:], _sent_messages(graph, atoms), strict=False)
    return n_whole * sum(work) < FUSED_GAIN * sum(cost * n_sent for cost, n_sent in pairs)


def _work(network: EquivariantNetwork) -> list[float]:
    """Return the multiplications of each layer for one message."""
    layers = [layer for layer in network.layers if isinstance(layer, Interaction)]
    return [float(layer.product.couplings.shape[1]) for layer in layers]


def _sent_messages(graph: Graph, atoms: Tensor | None) -> Iterator[int]:
    """Yield the number of tangents' messages in each layer but the first, per direction."""
    outgoing = OutgoingEdges(graph)
    seeds = displacement_seeds(graph, torch.float32, atoms)
    pairs = first_pairs(seeds, graph.receivers, graph.n_atoms)
    while True:
        triples = outgoing.of(pairs)
        yield len(triples[0])
        pairs = next_pairs(pairs, *triples, graph.receivers)


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
    network: EquivariantNetwork,
    graph: Graph,
    *,
    strain: bool = False,
    layers: FusedLayers | None = None,
    atoms: Tensor | None = None,
) -> Jacobian:
    """Return the Jacobian by forward mode, some hundred dependent pairs at a time."""
    at, scale = linearized(network, graph, layers), network.energy_scale.double()
    totals = scale * feature_totals(at)
    seeds = displacement_seeds(graph, at.vectors.dtype, atoms)
    displacement = _by_sources(at, seeds, graph.n_atoms if atoms is None else len(atoms))
    strained = None
    if strain:
        strained = scale * _by_sources(at, strain_seeds(graph, at.vectors), graph.n_frames)
    return Jacobian(totals, scale * displacement, strained)


def linearized(network: EquivariantNetwork, graph: Graph, layers: FusedLayers | None) -> Linearized:
    """Return the network at a point, over its fused layers where there are any and edges too."""
    if layers is None or len(graph.senders) == 0:
        return Linearization(network, graph)
    return FusedLinearization(layers, graph)


def feature_count(network: EquivariantNetwork) -> int:
    """Return D, the number of features that are solved for."""
    if network.head is None:
        return len(network.readout)
    return int(network.head.n_species * network.head.n_invariants)


def _head_blocks(head: LinearHead) -> list[tuple[int, LayerInvariants]]:
    """Return which of the layers' features each block of the head is of, and the block."""
    blocks = [cast(LayerInvariants, block) for block in head.blocks]
    return [*enumerate(blocks[:-1]), (-1, blocks[-1])]


def feature_totals(at: Linearized) -> Tensor:
    """Return the features summed over each frame, (n_frames, D), float64, in the network's unit."""
    head, graph = at.network.head, at.graph
    if head is None:
        return sum_by_frame(at.nodes[-1].double(), graph)
    cell = graph.frame_index * head.n_species + graph.species
    groups = Groups(cell, graph.n_frames * head.n_species)
    parts = [
        invariant_totals(block, at.nodes[layer], groups) for layer, block in _head_blocks(head)
    ]
    return torch.cat(parts, dim=1).reshape(graph.n_frames, -1)


def _by_sources(at: Linearized, seeds: Seeds, n_sources: int) -> Tensor:
    """Return (n_sources, n_directions, D), float64, in chunks of sources that bound the memory."""
    shape = (n_sources, seeds.n_directions, feature_count(at.network))
    result = torch.zeros(shape, dtype=torch.float64, device=at.vectors.device)
    for low, high in _chunks(at, seeds, n_sources):
        chunk = seeds.of((seeds.source >= low) & (seeds.source < high))
        if len(chunk.edge) > 0:
            result[low:high] = _slopes(at, chunk, low, high)
    return result


def _slopes(at: Linearized, seeds: Seeds, low: int, high: int) -> Tensor:
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


def _chunks(at: Linearized, seeds: Seeds, n_sources: int) -> list[tuple[int, int]]:
    """Return ranges of sources that some thousand (source, atom) pairs depend on."""
    reach = at.reach(seeds, n_sources)
    limit = at.rows_at_once // seeds.n_directions
    ranges, low, used = [], 0, 0
    for source, count in enumerate(reach.tolist()):
        if used + count > limit and used > 0:
            ranges.append((low, source))
            low, used = source, 0
        used += count
    ranges.append((low, n_sources))
    return ranges
