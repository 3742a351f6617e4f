"""The gradient of a loss of energies and forces over the fused operators.

With a = dL/dE and b = dL/dF held as they are, the gradient of L by the parameters is that of
sum_f a_f E_f(x) - dE(x + t b)/dt at t = 0: energies and their tangent along one direction of the
positions. So a first pass gives energies and forces, and a second one carries every number with
its tangent and is differentiated once: nothing is differentiated twice.

Source:
    Pearlmutter, Neural Computation 6, 147 (1994): products of second derivatives with a vector.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fisher_mlip.fused.packing import FusedError
from fisher_mlip.fused.picking import PickedParameters
from fisher_mlip.model.graph import Graph
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import Prediction, sum_by_frame


@dataclass(frozen=True, eq=False)
class Edges:
    """The edges of a batch.

    Attributes:
        positions: (n_atoms, 3), Å, of which energies are differentiated.
        vectors: (n_edges, 3), Å, in the network's dtype.
        senders: (n_edges,).
        receivers: (n_edges,).
        harmonics: (n_edges, n_harmonics).
        distances: (n_edges,), Å.
        order: what `edge_order` returns.
    """

    positions: Tensor
    vectors: Tensor
    senders: Tensor
    receivers: Tensor
    harmonics: Tensor
    distances: Tensor
    order: list[Tensor]


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer as the operators read it: sizes, radial functions of each edge, maps."""

    sizes: list[int]
    rows: Tensor
    maps: Tensor
    transposed: Tensor


class FusedTraining:
    """Energies, forces and gradients of losses of an `EquivariantNetwork` that is trained.

    The network keeps its parameters, and gets the gradients that the plain one would, rounding
    apart. The operators must be loaded.

    Args:
        network: on the CPU.

    Raises:
        FusedError: a degree that no layer is compiled for, or a head.
    """

    def __init__(self, network: EquivariantNetwork) -> None:
        if network.head is not None:
            raise FusedError("expected a network without a head, found one with it")
        self.network = network
        self._picked = PickedParameters(network)
        self._degree = self._picked.sizes[0][2]

    def predict(self, graph: Graph) -> Prediction:
        """Return energies and forces, detached."""
        edges = self._edges(graph)
        with torch.no_grad():
            layers = self._layers(edges, graph.n_atoms)
        return self._first_pass(graph, edges, layers)

    def loss(
        self, graph: Graph, loss_of: Callable[[Prediction], Tensor]
    ) -> tuple[Tensor, Prediction]:
        """Return a loss that can be differentiated once by the parameters, and the prediction.

        Args:
            graph: one or more frames.
            loss_of: the loss, (), of energies and forces.
        """
        edges = self._edges(graph)
        layers = self._layers(edges, graph.n_atoms)
        found = self._first_pass(graph, edges, layers)
        given = [found.energies.clone(), found.forces.clone()]
        value = loss_of(Prediction(*(each.requires_grad_(True) for each in given)))
        slopes = torch.autograd.grad(value, given, materialize_grads=True)
        form = self._second_pass(graph, edges, layers, slopes[0][graph.frame_index], slopes[1])
        # The value of the one with the gradient of the other.
        return value.detach() + (form - form.detach()), found

    def _edges(self, graph: Graph) -> Edges:
        cells = graph.cells[graph.frame_index[graph.receivers]]
        shifts = torch.einsum("es,esk->ek", graph.cell_shifts, cells)
        positions = graph.positions.detach().requires_grad_(True)
        identity = torch.eye(3, dtype=torch.float64)
        with torch.enable_grad():
            vectors, senders, receivers = torch.ops.fisher_mlip.near_edges(
                positions, graph.senders, graph.receivers, shifts, identity, self.network.cutoff
            )
            vectors = vectors.to(self.network.energy_scale.dtype)
            harmonics, distances = torch.ops.fisher_mlip.edge_geometry(vectors, self._degree)
        order = torch.ops.fisher_mlip.edge_order(senders, receivers, graph.n_atoms)
        return Edges(positions, vectors, senders, receivers, harmonics, distances, order)

    def _layers(self, edges: Edges, n_atoms: int) -> list[Layer]:
        network = self.network
        picked = self._picked(network)
        into = [layer.into for layer in picked]
        out = [layer.radial for layer in picked]
        distances, scale = edges.distances.detach(), network.message_scale
        rows = torch.ops.fisher_mlip.radial_rows(distances, into, out, scale, network.cutoff)
        return [
            Layer([*sizes, n_atoms], own, layer.maps, layer.transposed)
            for sizes, own, layer in zip(self._picked.sizes, rows, picked, strict=True)
        ]

    def _first_pass(self, graph: Graph, edges: Edges, layers: list[Layer]) -> Prediction:
        """Return energies and forces, detached."""
        network, species = self.network, graph.species
        with torch.enable_grad():
            nodes = network.embedding.weight.detach()[species]
            for layer in layers:
                nodes = torch.ops.fisher_mlip.interaction(
                    nodes,
                    edges.harmonics,
                    edges.distances,
                    edges.order,
                    layer.rows.detach(),
                    layer.maps.detach(),
                    layer.transposed,
                    layer.sizes,
                    network.cutoff,
                )
            atoms, of_nodes = self._energies(nodes.detach(), species)
            ends, given = [nodes], [of_nodes]
            if network.repulsion is not None:
                pairs = edges.senders, edges.receivers
                core = network.repulsion(species, edges.vectors, *pairs)
                ends, given = [nodes, core], [of_nodes, torch.ones_like(core)]
                atoms = atoms + core.detach()
        (slopes,) = torch.autograd.grad(ends, edges.positions, given, materialize_grads=True)
        return Prediction(sum_by_frame(atoms, graph), -slopes)

    @torch.no_grad()
    def _energies(self, nodes: Tensor, species: Tensor) -> tuple[Tensor, Tensor]:
        """Return the atoms' energies, as `read_out` of features, and their slopes by these."""
        network = self.network
        matrix, bias = network.refine.parameters()
        value = torch.addmm(bias, nodes, matrix.t())
        part = torch.sigmoid(value)
        made = value * part
        features = torch.cat([nodes, made], dim=1) * network.energy_scale
        atoms = features.double() @ network.readout.double() + network.shift.double()[species]
        own, refined = (network.readout * network.energy_scale).chunk(2)
        return atoms, own + (part + made * (1.0 - part)) * refined @ matrix

    def _second_pass(
        self, graph: Graph, edges: Edges, layers: list[Layer], weights: Tensor, along: Tensor
    ) -> Tensor:
        """Return the weighted sum of energies less the tangent of all, (), float64.

        Args:
            graph: the frames.
            edges: of them.
            layers: as they were in the first pass.
            weights: (n_atoms,), of the atoms' energies.
            along: (n_atoms, 3), the direction of the positions.
        """
        vectors, distances = edges.vectors.detach(), edges.distances.detach()
        tangents = (along[edges.senders] - along[edges.receivers]).to(vectors.dtype)
        turns, speeds = torch.ops.fisher_mlip.edge_tangents(
            vectors, distances, tangents, self._degree
        )
        embedded = self.network.embedding(graph.species)
        nodes = torch.stack([embedded, torch.zeros_like(embedded)], dim=1)
        for layer in layers:
            nodes = torch.ops.fisher_mlip.interaction_dual(
                nodes,
                edges.harmonics.detach(),
                turns,
                speeds,
                edges.order,
                layer.rows,
                layer.maps,
                layer.transposed,
                layer.sizes,
            )
        return self._read_out(nodes, graph.species, weights)

    def _read_out(self, nodes: Tensor, species: Tensor, weights: Tensor) -> Tensor:
        """Return what `_second_pass` returns, of features with their tangents (n_atoms, 2, n)."""
        network = self.network
        matrix, bias = network.refine.parameters()
        hidden = nodes @ matrix.t()
        value, tangent = hidden[:, 0] + bias, hidden[:, 1]
        part = torch.sigmoid(value)
        made = value * part
        moved = tangent * (part + made * (1.0 - part))
        own = weights.to(nodes.dtype)[:, None]
        summed = torch.cat([nodes[:, 0] * own - nodes[:, 1], made * own - moved], dim=1)
        features = summed.double().sum(dim=0) * network.energy_scale.double()
        return features @ network.readout.double() + network.shift.double()[species] @ weights
