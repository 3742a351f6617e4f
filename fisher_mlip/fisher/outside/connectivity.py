"""Bonds of a frame by covalent radii, and the fragments that a bond joins."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from ase.data import covalent_radii
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from fisher_mlip.data.bonds import BOND_REACH
from fisher_mlip.data.frames import FloatArray, Frame, IntArray
from fisher_mlip.model.graph import build_graph


@dataclass(frozen=True, eq=False)
class Connectivity:
    """The bonds of one frame.

    Attributes:
        i: (n_bonds,), first atom.
        j: (n_bonds,), second atom.
        vectors: (n_bonds, 3), from i to j, Å, through the boundaries.
        n_atoms: of the frame.
    """

    i: IntArray
    j: IntArray
    vectors: FloatArray
    n_atoms: int

    @staticmethod
    def of(frame: Frame) -> "Connectivity":
        reach = 2.0 * BOND_REACH * float(covalent_radii[frame.atomic_numbers].max())
        graph = build_graph(frame, np.unique(frame.atomic_numbers).tolist(), reach)
        i, j = graph.receivers.numpy(), graph.senders.numpy()
        vectors = graph.edge_vectors(graph.positions, graph.cells).numpy()
        radii = covalent_radii[frame.atomic_numbers]
        bonded = (np.linalg.norm(vectors, axis=1) < BOND_REACH * (radii[i] + radii[j])) & (i < j)
        return Connectivity(i[bonded], j[bonded], vectors[bonded], len(frame.atomic_numbers))

    @property
    def lengths(self) -> FloatArray:
        return np.asarray(np.linalg.norm(self.vectors, axis=1))

    def _graph(self, kept: IntArray) -> coo_matrix:
        ones = np.ones(len(kept))
        shape = (self.n_atoms, self.n_atoms)
        return coo_matrix((ones, (self.i[kept], self.j[kept])), shape=shape)

    def molecules(self) -> IntArray:
        """Return (n_atoms,), the index of each atom's molecule."""
        graph = self._graph(np.arange(len(self.i)))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)

    def within_two_bonds(self) -> set[tuple[int, int]]:
        """Return the pairs of atoms, both ways round, that one bond or two join."""
        around: dict[int, set[int]] = defaultdict(set)
        for i, j in zip(self.i.tolist(), self.j.tolist(), strict=True):
            around[i].add(j)
            around[j].add(i)
        joined = {(i, j) for i, ends in around.items() for j in ends}
        return joined.union(*(permutations(ends, 2) for ends in around.values()))

    def vectors_from(self, atom: int) -> FloatArray:
        """Return (n_atoms, 3), from one atom to each of its molecule along bonds, Å; else zeros."""
        graph = self._graph(np.arange(len(self.i))).tocsr()
        order, parents = breadth_first_order(graph, atom, directed=False)
        steps: dict[tuple[int, int], FloatArray] = {}
        for i, j, vector in zip(self.i.tolist(), self.j.tolist(), self.vectors, strict=True):
            steps[i, j], steps[j, i] = vector, -vector
        found = np.zeros((self.n_atoms, 3))
        for reached in order[1:].tolist():
            parent = int(parents[reached])
            found[reached] = found[parent] + steps[parent, reached]
        return found

    def side_of(self, bond: int) -> IntArray:
        """Return the smaller of the two fragments that a bond joins; its end alone in a ring."""
        others = np.delete(np.arange(len(self.i)), bond)
        labels = connected_components(self._graph(others), directed=False)[1]
        first, second = labels[self.i[bond]], labels[self.j[bond]]
        if first == second:
            return np.array([self.j[bond]])
        near, far = np.flatnonzero(labels == first), np.flatnonzero(labels == second)
        return far if len(far) <= len(near) else near
