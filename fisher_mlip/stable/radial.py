"""Radial distribution functions by pair of elements, molecule by molecule."""

import numpy as np

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.stable.configurations import Configurations
from openmm_plugin.watch.radial import PairCounter

REACH, BIN_WIDTH = 6.0, 0.1  # Å


class RadialDistribution:
    """g(r) between molecules for each pair of elements; a pair counts half for either molecule.

    Args:
        of: its molecules and, of the first configuration, the cell: g(r) reaches to 6 Å or half
            the smallest height of that.

    Attributes:
        edges: (n_bins + 1,), Å.
        kinds: pairs of elements, `C-O` in alphabetical order.
    """

    name = "g(r)"
    unit = ""

    def __init__(self, of: Configurations) -> None:
        assert of.cells is not None
        heights = 1.0 / np.linalg.norm(np.linalg.inv(of.cells[0]), axis=0)
        n_bins = int(min(REACH, 0.5 * float(heights.min())) / BIN_WIDTH + 1e-9)
        self.edges: FloatArray = BIN_WIDTH * np.arange(n_bins + 1, dtype=np.float64)
        self._counter = PairCounter(of.topology, self.edges)
        self.kinds = self._counter.names
        self.size = len(self.kinds) * n_bins

    def by_molecule(self, positions: FloatArray, cells: FloatArray | None) -> FloatArray:
        """Return (n, n_molecules, n_kinds * n_bins). Args: as `Observable.by_molecule`."""
        assert cells is not None
        parts = [
            self._counter.by_molecule(x, cell) for x, cell in zip(positions, cells, strict=True)
        ]
        return np.stack(parts).reshape(len(parts), -1, self.size)
