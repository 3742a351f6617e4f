"""Which atoms' features depend on which moved source, layer by layer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fisher_mlip.model.graph import Graph


@dataclass(frozen=True, eq=False)
class Seeds:
    """How the edge vectors move with the sources: d r_edge = matrix . d(source).

    Attributes:
        edge: (n_seeds,).
        source: (n_seeds,), a moved atom, or a strained frame.
        matrix: (n_seeds, 3, n_directions).
    """

    edge: Tensor
    source: Tensor
    matrix: Tensor

    @property
    def n_directions(self) -> int:
        return int(self.matrix.shape[2])

    def of(self, chosen: Tensor) -> "Seeds":
        """Return the seeds where `chosen` (n_seeds,) holds."""
        return Seeds(self.edge[chosen], self.source[chosen], self.matrix[chosen])


def displacement_seeds(graph: Graph, dtype: torch.dtype, atoms: Tensor | None = None) -> Seeds:
    """Return the seeds of moving atoms along x, y, z: r = x_sender - x_receiver + shift.

    Args:
        graph: one or more frames.
        dtype: of the matrices.
        atoms: (n_sources,), which atom each source is; None: all of them, in their order.
    """
    edges = torch.arange(len(graph.senders), device=graph.senders.device)
    identity = torch.eye(3, dtype=dtype, device=edges.device).expand(len(edges), 3, 3)
    seeds = Seeds(
        torch.cat([edges, edges]),
        torch.cat([graph.senders, graph.receivers]),
        torch.cat([identity, -identity]),
    )
    if atoms is None:
        return seeds
    source = torch.full((graph.n_atoms,), -1, dtype=torch.long, device=edges.device)
    source[atoms] = torch.arange(len(atoms), device=edges.device)
    moved = Seeds(seeds.edge, source[seeds.source], seeds.matrix)
    return moved.of(moved.source >= 0)


def strain_seeds(graph: Graph, vectors: Tensor) -> Seeds:
    """Return the seeds of straining each frame: dr = strain . r, for xx, yy, zz, yz, xz, xy.

    The off-diagonal strains are symmetric, half in each place (Voigt's engineering strains).
    """
    unit = torch.zeros((6, 3, 3), dtype=vectors.dtype, device=vectors.device)
    for k, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        unit[k, i, j] += 0.5
        unit[k, j, i] += 0.5
    edges = torch.arange(len(vectors), device=vectors.device)
    matrix = torch.einsum("kij,ej->eik", unit, vectors)
    return Seeds(edges, graph.frame_index[graph.receivers], matrix)


@dataclass(frozen=True, eq=False)
class Pairs:
    """The (source, atom) pairs whose tangent is not zero, ascending in both.

    Attributes:
        source: (n_pairs,).
        atom: (n_pairs,).
        n_atoms: of the graph.
    """

    source: Tensor
    atom: Tensor
    n_atoms: int

    def __len__(self) -> int:
        return len(self.source)

    @property
    def keys(self) -> Tensor:
        return self.source * self.n_atoms + self.atom

    def find(self, source: Tensor, atom: Tensor) -> Tensor:
        """Return the place of pairs that are known to be here."""
        return torch.searchsorted(self.keys, source * self.n_atoms + atom)

    @staticmethod
    def of_keys(keys: Tensor, n_atoms: int) -> "Pairs":
        unique = torch.unique(keys)
        return Pairs(unique // n_atoms, unique % n_atoms, n_atoms)


def first_pairs(seeds: Seeds, receivers: Tensor, n_atoms: int) -> Pairs:
    """Return the pairs after the first layer: receivers of edges that move."""
    return Pairs.of_keys(seeds.source * n_atoms + receivers[seeds.edge], n_atoms)


class OutgoingEdges:
    """Edges by their sender."""

    def __init__(self, graph: Graph) -> None:
        self.order = torch.argsort(graph.senders, stable=True)
        self.count = torch.bincount(graph.senders, minlength=graph.n_atoms)
        self.start = torch.cumsum(self.count, 0) - self.count

    def of(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Return (pair, edge), both (n_triples,), for every edge that leaves a pair's atom."""
        count = self.count[pairs.atom]
        pair = torch.repeat_interleave(torch.arange(len(pairs), device=count.device), count)
        within = torch.arange(len(pair), device=count.device)
        within = within - (torch.cumsum(count, 0) - count)[pair]
        return pair, self.order[self.start[pairs.atom[pair]] + within]


def next_pairs(pairs: Pairs, pair: Tensor, edge: Tensor, receivers: Tensor) -> Pairs:
    """Return the pairs one layer on: those there are, and what they send messages to."""
    reached = pairs.source[pair] * pairs.n_atoms + receivers[edge]
    return Pairs.of_keys(torch.cat([pairs.keys, reached]), pairs.n_atoms)
