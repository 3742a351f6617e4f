"""Sources -> a copy of its whole frame for each, and how the copy's edges move with the source."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fisher_mlip.fisher.dependence import Pairs, Seeds
from fisher_mlip.model.graph import Graph


@dataclass(frozen=True, eq=False)
class Copies:
    """A copy of its frame for each source.

    Attributes:
        pairs: source and atom, all atoms of the source's frame.
        edge: (n_copied_edges,), that it is a copy of.
        sender: (n_copied_edges,), the pair that it comes from.
        receiver: (n_copied_edges,), the pair that it goes to.
        moves: (n_copied_edges, n_directions, 3), how it moves with its source, Å per Å.
    """

    pairs: Pairs
    edge: Tensor
    sender: Tensor
    receiver: Tensor
    moves: Tensor


class WholeFrames:
    """Atoms and edges of each frame of a graph, whose atoms come frame after frame."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.n_atoms = graph.atoms_per_frame()
        self.first_atom = torch.cumsum(self.n_atoms, 0) - self.n_atoms
        of_edge = graph.frame_index[graph.receivers]
        self.order = torch.argsort(of_edge, stable=True)
        self.n_edges = torch.bincount(of_edge, minlength=graph.n_frames)
        self.first_edge = torch.cumsum(self.n_edges, 0) - self.n_edges
        # Of each edge, its place among those of its frame.
        self.within = torch.empty_like(self.order)
        self.within[self.order] = _counted(self.n_edges)

    def copies(self, seeds: Seeds) -> Copies:
        """Return a copy of its frame for each of the sources that move anything."""
        graph = self.graph
        source, place = torch.unique(seeds.source, return_inverse=True)
        frame = torch.empty_like(source)
        frame[place] = graph.frame_index[graph.receivers[seeds.edge]]
        n_atoms, n_edges = self.n_atoms[frame], self.n_edges[frame]
        own = torch.repeat_interleave(torch.arange(len(source)), n_atoms)
        pairs = Pairs(source[own], self.first_atom[frame][own] + _counted(n_atoms), graph.n_atoms)
        first_pair = torch.cumsum(n_atoms, 0) - n_atoms
        first_copy = torch.cumsum(n_edges, 0) - n_edges
        copy = torch.repeat_interleave(torch.arange(len(source)), n_edges)
        edge = self.order[self.first_edge[frame][copy] + _counted(n_edges)]
        shift = (first_pair - self.first_atom[frame])[copy]
        moves = seeds.matrix.new_zeros((len(edge), seeds.n_directions, 3))
        target = first_copy[place] + self.within[seeds.edge]
        moves.index_add_(0, target, seeds.matrix.transpose(1, 2))
        return Copies(
            pairs, edge, graph.senders[edge] + shift, graph.receivers[edge] + shift, moves
        )


def _counted(sizes: Tensor) -> Tensor:
    """Return 0, 1, ... size - 1 for each of the sizes, one after the other."""
    before = torch.cumsum(sizes, 0) - sizes
    return torch.arange(int(sizes.sum())) - torch.repeat_interleave(before, sizes)
