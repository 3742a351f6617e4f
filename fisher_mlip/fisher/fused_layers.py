"""A network's features over the fused operators, with their tangents: the same numbers, sooner.

The operators carry each number with its tangent along one direction, and its value once more for
every direction: worth it where what depends on an atom is most of its frame, as in a molecule.
"""

from functools import cached_property

import torch
from torch import Tensor

from fisher_mlip.fisher.dependence import Pairs, Seeds
from fisher_mlip.fisher.whole_frames import Copies, WholeFrames
from fisher_mlip.fused.couplings import LARGEST_DEGREE
from fisher_mlip.fused.loading import why_no_operators
from fisher_mlip.fused.picking import LayerTensors, PickedParameters
from fisher_mlip.model.graph import Graph
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import Prediction, evaluate, sum_by_frame

# Rows that the operators carry at once, a pair in each direction: what fits in a cache.
ROWS_AT_ONCE = 800


def fused_layers(network: EquivariantNetwork) -> "FusedLayers | None":
    """Return the network's layers over the operators, None where these are not there or for it."""
    is_served = network.energy_scale.device.type == "cpu" and not why_no_operators(build=False)
    if not is_served or network.harmonics.irreps_out.lmax > LARGEST_DEGREE:
        return None
    return FusedLayers(network)


def predicted(
    network: EquivariantNetwork,
    graph: Graph,
    layers: "FusedLayers | None",
    *,
    stress: bool = False,
) -> Prediction:
    """Return what `evaluate` does, over the network's fused layers where these have it."""
    if layers is None or stress or len(graph.senders) == 0:
        return evaluate(network, graph, stress=stress)
    return layers.predict(graph)


class FusedLayers:
    """The layers of a network, whose parameters stay what they are now.

    Args:
        network: on the CPU, of a degree that the operators have.
    """

    def __init__(self, network: EquivariantNetwork) -> None:
        self.network = network
        picked = PickedParameters(network)
        with torch.no_grad():
            self.tensors: list[LayerTensors] = picked(network)
        self.sizes = picked.sizes
        self.degree = max(size[2] for size in picked.sizes)

    def radial_rows(self, distances: Tensor) -> list[Tensor]:
        """Return each layer's radial functions of edges, (n_edges, 2, n_functions)."""
        into = [layer.into.detach() for layer in self.tensors]
        out = [layer.radial for layer in self.tensors]
        scale, cutoff = self.network.message_scale, self.network.cutoff
        rows: list[Tensor] = torch.ops.fisher_mlip.radial_rows(distances, into, out, scale, cutoff)
        return rows

    def features(
        self, graph: Graph, harmonics: Tensor, distances: Tensor, rows: list[Tensor]
    ) -> list[Tensor]:
        """Return what `layer_features` does, differentiable once by harmonics and distances.

        Args:
            graph: one or more frames.
            harmonics: (n_edges, n_harmonics), of `edge_geometry`.
            distances: (n_edges,), Å.
            rows: as `radial_rows` returns them.
        """
        order = torch.ops.fisher_mlip.edge_order(graph.senders, graph.receivers, graph.n_atoms)
        nodes, found = self.network.embedding(graph.species).detach(), []
        for own, layer, sizes in zip(rows, self.tensors, self.sizes, strict=True):
            maps, whole = (layer.maps, layer.transposed), [*sizes, graph.n_atoms]
            nodes = torch.ops.fisher_mlip.interaction(
                nodes, harmonics, distances, order, own, *maps, whole, self.network.cutoff
            )
            found.append(nodes)
        return [*found, torch.cat([nodes, self.network.refine(nodes)], dim=1)]

    def predict(self, graph: Graph) -> Prediction:
        """Return the network's energies and forces, as `evaluate` does, of frames with edges."""
        network, ends = self.network, (graph.senders, graph.receivers)
        vectors = graph.edge_vectors(graph.positions, graph.cells).to(network.energy_scale.dtype)
        vectors = vectors.contiguous().requires_grad_(True)
        harmonics, distances = torch.ops.fisher_mlip.edge_geometry(vectors, self.degree)
        rows = self.radial_rows(distances.detach())
        nodes = self.features(graph, harmonics, distances, rows)
        energies = network.read_out(nodes, graph.species)
        if network.repulsion is not None:
            energies = energies + network.repulsion(graph.species, vectors, *ends)
        (slopes,) = torch.autograd.grad(energies.sum(), vectors)
        forces = torch.zeros_like(graph.positions).index_add_(0, graph.receivers, slopes.double())
        forces.index_add_(0, graph.senders, slopes.double(), alpha=-1.0)
        return Prediction(sum_by_frame(energies.detach(), graph), forces)


class FusedLinearization:
    """A network at one point, as `Linearization`, with tangents over whole frames.

    Attributes:
        nodes: as of `Linearization`.
    """

    @torch.no_grad()
    def __init__(self, layers: FusedLayers, graph: Graph) -> None:
        self.layers, self.network, self.graph = layers, layers.network, graph
        dtype = self.network.energy_scale.dtype
        self.vectors = graph.edge_vectors(graph.positions, graph.cells).to(dtype).contiguous()
        self.harmonics, self.distances = torch.ops.fisher_mlip.edge_geometry(
            self.vectors, layers.degree
        )
        self.rows = layers.radial_rows(self.distances)
        self.nodes = layers.features(graph, self.harmonics, self.distances, self.rows)

    @cached_property
    def whole(self) -> "WholeFrames":
        """Where the frames' atoms and edges are."""
        return WholeFrames(self.graph)

    @property
    def rows_at_once(self) -> int:
        return ROWS_AT_ONCE

    def reach(self, seeds: Seeds, n_sources: int) -> Tensor:
        """Return (n_sources,), the number of atoms in the frame of each source that moves any."""
        found = torch.zeros(n_sources, dtype=torch.long)
        frame = self.graph.frame_index[self.graph.receivers[seeds.edge]]
        found[seeds.source] = self.whole.n_atoms[frame]
        return found

    @torch.no_grad()
    def tangents(self, seeds: Seeds) -> list[tuple[Pairs, Tensor]]:
        """Return what `Linearization.tangents` does, for every atom of a source's frame."""
        n, copies = seeds.n_directions, self.whole.copies(seeds)
        pairs = copies.pairs
        embedded = self.network.embedding(self.graph.species[pairs.atom])
        first = torch.stack([embedded, torch.zeros_like(embedded)], dim=1)
        nodes = self._dual_nodes(first.repeat_interleave(n, dim=0), copies)
        found = [(pairs, each[:, 1].reshape(len(pairs), n, -1)) for each in nodes]
        refined = self._refined(nodes[-1]).reshape(len(pairs), n, -1)
        return [*found, (pairs, torch.cat([found[-1][1], refined], dim=2))]

    def _dual_nodes(self, nodes: Tensor, copies: Copies) -> list[Tensor]:
        """Return features with tangents (n_rows, 2, irreps) after each layer.

        There is a row for each pair and direction, and an edge for each of these.
        """
        n = copies.moves.shape[1]
        edges, steps = copies.edge.repeat_interleave(n), torch.arange(n)
        ends = [(n * end[:, None] + steps).flatten() for end in (copies.sender, copies.receiver)]
        order = torch.ops.fisher_mlip.edge_order(*ends, len(nodes))
        moves, degree = copies.moves.flatten(0, 1), self.layers.degree
        turns, speeds = torch.ops.fisher_mlip.edge_tangents(
            self.vectors[edges], self.distances[edges], moves, degree
        )
        harmonics, found = self.harmonics[edges], []
        for rows, layer, sizes in zip(
            self.rows, self.layers.tensors, self.layers.sizes, strict=True
        ):
            own, whole = rows[edges], [*sizes, len(nodes)]
            maps = layer.maps, layer.transposed
            nodes = torch.ops.fisher_mlip.interaction_dual(
                nodes, harmonics, turns, speeds, order, own, *maps, whole
            )
            found.append(nodes)
        return found

    def _refined(self, nodes: Tensor) -> Tensor:
        """Return the tangents (n_rows, channels) of `refine` of nodes (n_rows, 2, channels)."""
        matrix, bias = self.network.refine.parameters()
        hidden = nodes @ matrix.t()
        value = hidden[:, 0] + bias
        part = torch.sigmoid(value)
        return hidden[:, 1] * part * (1.0 + value * (1.0 - part))
