"""Forward-mode Jacobians of the features, where they are not zero.

A tangent per moved coordinate is carried through the network, for every atom that depends on the
moved one after each layer and for no other. In a molecule that is one tangent per coordinate; in a
liquid it is as many as an atom has neighbors within the receptive field, however large the box.
Messages are linear in the sender's features, so one set of edge matrices serves all tangents, and
the derivative by the edge vector itself (three directions per edge) is added where an end moves.
"""

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fisher_mlip.fisher.dependence import (
    OutgoingEdges,
    Pairs,
    Seeds,
    first_pairs,
    next_pairs,
)
from fisher_mlip.model.graph import Graph
from fisher_mlip.model.interaction import Interaction
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.radial import bessel_basis, smooth_envelope

TRIPLES_AT_ONCE = 1500
# Of pairs in each direction.
ROWS_AT_ONCE = 3600
# torch has one level of forward mode for all threads.
ONE_LEVEL = threading.Lock()

with warnings.catch_warnings(), forward_ad.dual_level():
    # torch scripts its own decompositions when forward mode is first used, and warns of that.
    warnings.simplefilter("ignore", DeprecationWarning)
    forward_ad.make_dual(torch.zeros(1), torch.zeros(1))  # type: ignore[no-untyped-call]


def push_forward(function: Callable[[Tensor], Tensor], point: Tensor, tangent: Tensor) -> Tensor:
    """Return the derivative of `function` at `point` along `tangent`."""
    with ONE_LEVEL, forward_ad.dual_level():
        dual: Tensor = forward_ad.make_dual(  # type: ignore[no-untyped-call]
            point.contiguous(), tangent.contiguous()
        )
        value, moved = forward_ad.unpack_dual(function(dual))  # type: ignore[no-untyped-call]
        # A constant, as the harmonics of degree 0 are, has no tangent at all.
        return torch.zeros_like(value) if moved is None else moved


@dataclass(frozen=True, eq=False)
class LayerState:
    """What a layer computed at the point of differentiation.

    Attributes:
        sent: (n_atoms, n_components, channels), the mixed features that neighbors receive.
        weights: (n_edges, n_weights), radial weights times envelope.
        gated: (n_atoms, irreps), what enters the gate.
    """

    sent: Tensor
    weights: Tensor
    gated: Tensor


class Linearization:
    """A network at one point, ready to carry tangents.

    Attributes:
        nodes: features after each layer, then those read out, as `layer_features` gives them.
    """

    def __init__(self, network: EquivariantNetwork, graph: Graph) -> None:
        self.network = network
        self.graph = graph
        dtype = network.energy_scale.dtype
        self.vectors = graph.edge_vectors(graph.positions, graph.cells).to(dtype)
        self.layers: list[Interaction] = list(network.layers)  # type: ignore[arg-type]
        self.outgoing = OutgoingEdges(graph)
        self.harmonics = network.harmonics(self.vectors)
        basis = self._basis(self.vectors)
        self.states: list[LayerState] = []
        self.nodes: list[Tensor] = []
        nodes = network.embedding(graph.species)
        for layer in self.layers:
            weights = layer.radial(basis[:, 1:]) * basis[:, :1]
            mixed = layer.mix_in(nodes)
            summed = layer.product(mixed, graph.senders, graph.receivers, self.harmonics, weights)
            gated = layer.self_connection(nodes) + layer.mix_out(summed * network.message_scale)
            self.states.append(LayerState(layer.product.components(mixed), weights, gated))
            nodes = layer.gate(gated)
            self.nodes.append(nodes)
        self.nodes.append(torch.cat([nodes, network.refine(nodes)], dim=1))

    def _basis(self, vectors: Tensor) -> Tensor:
        """Return the envelope and the radial functions side by side, (n_edges, 1 + n_basis)."""
        distances = torch.sqrt((vectors * vectors).sum(dim=1))
        cutoff = self.network.cutoff
        envelope = smooth_envelope(distances, cutoff)[:, None]
        return torch.cat([envelope, bessel_basis(distances, cutoff, self.network.n_basis)], dim=1)

    @property
    def rows_at_once(self) -> int:
        return ROWS_AT_ONCE

    def reach(self, seeds: Seeds, n_sources: int) -> Tensor:
        """Return (n_sources,), the number of atoms that depend on each source in the end."""
        pairs = first_pairs(seeds, self.graph.receivers, self.graph.n_atoms)
        for _ in self.layers[1:]:
            pairs = next_pairs(pairs, *self.outgoing.of(pairs), self.graph.receivers)
        return torch.bincount(pairs.source, minlength=n_sources)

    def tangents(self, seeds: Seeds) -> list[tuple[Pairs, Tensor]]:
        """Return, for each of `nodes`, the pairs and their tangents (n_pairs, n_directions, F)."""
        receivers = self.graph.receivers
        moving, place = torch.unique(seeds.edge, return_inverse=True)
        slopes = _EdgeSlopes(self, moving)
        pairs = first_pairs(seeds, receivers, self.graph.n_atoms)
        before: Pairs | None = None
        nodes: Tensor | None = None
        result: list[tuple[Pairs, Tensor]] = []
        for k, layer in enumerate(self.layers):
            triples: tuple[Tensor, Tensor] | None = None
            if before is not None:
                triples = self.outgoing.of(before)
                pairs = next_pairs(before, *triples, receivers)
            product = layer.product
            summed = self.vectors.new_zeros(
                (len(pairs), sum(product.sizes), seeds.n_directions, product.channels)
            )
            _add_direct(summed, pairs, seeds, slopes.messages(k)[place], receivers)
            linear = self.vectors.new_zeros(())
            if before is not None and nodes is not None and triples is not None:
                self._add_sent(summed, k, before, nodes, pairs, triples)
                linear = self._self_connection(k, before, nodes, pairs)
            nodes = self._after_gate(k, pairs, summed, linear)
            result.append((pairs, nodes))
            before = pairs
        assert nodes is not None
        rows = self.nodes[-2][pairs.atom][:, None].expand_as(nodes)
        refined = push_forward(self.network.refine, rows, nodes)
        return [*result, (pairs, torch.cat([nodes, refined], dim=2))]

    def _add_sent(
        self,
        summed: Tensor,
        k: int,
        before: Pairs,
        nodes: Tensor,
        pairs: Pairs,
        triples: tuple[Tensor, Tensor],
    ) -> None:
        """Add the messages of the tangents themselves, a few thousand at a time."""
        product = self.layers[k].product
        n_pairs, n_directions, width = nodes.shape
        mixed = self.layers[k].mix_in(nodes.reshape(-1, width))
        sent = product.components(mixed).reshape(n_pairs, n_directions, -1, product.channels)
        sent = sent.transpose(1, 2).reshape(n_pairs, -1, n_directions * product.channels)
        matrices = product.matrices(self.harmonics)
        weights = product.path_weights(self.states[k].weights)
        for pair, edge in zip(
            torch.split(triples[0], TRIPLES_AT_ONCE),
            torch.split(triples[1], TRIPLES_AT_ONCE),
            strict=True,
        ):
            made = product.couple(sent[pair], matrices[edge])
            made = made.reshape(len(edge), -1, n_directions, product.channels)
            made *= weights[edge][:, :, None]
            target = pairs.find(before.source[pair], self.graph.receivers[edge])
            summed.index_add_(0, target, made)

    def _self_connection(self, k: int, before: Pairs, nodes: Tensor, pairs: Pairs) -> Tensor:
        own: Tensor = self.layers[k].self_connection(nodes.flatten(0, 1))
        own = own.reshape(*nodes.shape[:2], -1)
        spread = own.new_zeros((len(pairs), *own.shape[1:]))
        return spread.index_add_(0, pairs.find(before.source, before.atom), own)

    def _after_gate(self, k: int, pairs: Pairs, summed: Tensor, linear: Tensor) -> Tensor:
        layer, n_directions = self.layers[k], summed.shape[2]
        rows = summed.transpose(1, 2).flatten(0, 1)
        mixed = layer.mix_out(layer.product.irreps(rows) * self.network.message_scale)
        tangent = mixed.reshape(len(pairs), n_directions, -1) + linear
        point = self.states[k].gated[pairs.atom][:, None].expand_as(tangent)
        moved = push_forward(layer.gate, point.flatten(0, 1), tangent.flatten(0, 1))
        return moved.reshape(len(pairs), n_directions, -1)


class _EdgeSlopes:
    """Derivatives of the messages of some edges by their own vectors, along x, y and z."""

    def __init__(self, at: Linearization, edges: Tensor) -> None:
        self.at, self.edges = at, edges
        vectors = at.vectors[edges]
        axes = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
        self.basis = at._basis(vectors)
        self.harmonics = at.harmonics[edges]
        self.directions = [
            (
                push_forward(at.network.harmonics, vectors, axis.expand_as(vectors)),
                push_forward(at._basis, vectors, axis.expand_as(vectors)),
            )
            for axis in axes
        ]

    def messages(self, k: int) -> Tensor:
        """Return (n_edges, n_out, 3, channels) for layer k."""
        layer, state = self.at.layers[k], self.at.states[k]
        product = layer.product
        sent = state.sent[self.at.graph.senders[self.edges]]

        def radial(basis: Tensor) -> Tensor:
            weights: Tensor = layer.radial(basis[:, 1:]) * basis[:, :1]
            return weights

        coupled = product.couple(sent, product.matrices(self.harmonics))
        weights = product.path_weights(state.weights[self.edges])
        parts = []
        for harmonics, basis in self.directions:
            turned = product.couple(sent, product.matrices(harmonics)) * weights
            slope = product.path_weights(push_forward(radial, self.basis, basis))
            parts.append(turned + coupled * slope)
        return torch.stack(parts, dim=2)


def _add_direct(
    summed: Tensor, pairs: Pairs, seeds: Seeds, slopes: Tensor, receivers: Tensor
) -> None:
    """Add what the moving edges change in their receivers; `slopes` is one row per seed."""
    made = torch.einsum("soac,sad->sodc", slopes, seeds.matrix)
    summed.index_add_(0, pairs.find(seeds.source, receivers[seeds.edge]), made)
