"""Radial distribution functions by pair of elements, molecule by molecule."""

import numpy as np
from ase.data import chemical_symbols

from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.stable.configurations import Configurations
from openmm_plugin.watch.pairs import near_pairs

REACH, BIN_WIDTH = 6.0, 0.1  # Å


class RadialDistribution:
    """g(r) between molecules for each pair of elements; a pair counts half for either molecule.

    Args:
        of: its molecules and, of the first configuration, the cell: g(r) reaches to 6 Å or half
            the smallest height of that.

    Attributes:
        edges: (n_bins + 1,), Å.
        kinds: pairs of elements, `C-O` in alphabetical order.

    Source:
        g_ab(r) = V n_ab(r) / (N_ab v(r)): n_ab pairs in a shell of volume v, of N_ab pairs of
        atoms of different molecules.
    """

    name = "g(r)"
    unit = ""

    def __init__(self, of: Configurations) -> None:
        assert of.cells is not None
        heights = 1.0 / np.linalg.norm(np.linalg.inv(of.cells[0]), axis=0)
        n_bins = int(min(REACH, 0.5 * float(heights.min())) / BIN_WIDTH + 1e-9)
        self.edges = BIN_WIDTH * np.arange(n_bins + 1)
        self._shells = 4.0 / 3.0 * np.pi * np.diff(self.edges**3)
        self._molecules, self._n_molecules = of.molecules, of.n_molecules
        symbols = np.array(chemical_symbols)[of.atomic_numbers]
        self._symbols, self._species = np.unique(symbols, return_inverse=True)
        counts = self._n_pairs()
        self._codes = np.flatnonzero(counts > 0)
        self._numbers = counts[self._codes]
        n = len(self._symbols)
        self.kinds = [f"{self._symbols[c // n]}-{self._symbols[c % n]}" for c in self._codes]
        self.size = len(self.kinds) * n_bins

    def by_molecule(self, positions: FloatArray, cells: FloatArray | None) -> FloatArray:
        """Return (n, n_molecules, n_kinds * n_bins). Args: as `Observable.by_molecule`."""
        assert cells is not None
        return np.stack([self._of_frame(x, cell) for x, cell in zip(positions, cells, strict=True)])

    def _of_frame(self, positions: FloatArray, cell: FloatArray) -> FloatArray:
        reach = float(self.edges[-1])
        pairs, distances = near_pairs(positions, cell, reach, self._molecules)
        place = np.searchsorted(self.edges, distances, side="right") - 1
        pairs, place = pairs[place < len(self._shells)], place[place < len(self._shells)]
        species = np.sort(self._species[pairs], axis=1)
        kind = np.searchsorted(self._codes, species[:, 0] * len(self._symbols) + species[:, 1])
        column = kind * len(self._shells) + place
        counts = np.zeros((self._n_molecules, self.size))
        for side in (0, 1):
            np.add.at(counts, (self._molecules[pairs[:, side]], column), 0.5)
        volume = abs(float(np.linalg.det(cell)))
        scale = volume / np.multiply.outer(self._numbers, self._shells)
        return counts * self._n_molecules * scale.ravel()

    def _n_pairs(self) -> IntArray:
        """Return the pairs of atoms of different molecules by the code of their elements."""
        n = len(self._symbols)
        table = np.zeros((self._n_molecules, n), dtype=np.int64)
        np.add.at(table, (self._molecules, self._species), 1)
        ordered = np.outer(table.sum(axis=0), table.sum(axis=0)) - table.T @ table
        pairs = np.triu(ordered, k=1) + np.diag(np.diag(ordered) // 2)
        return np.asarray(pairs.ravel())
