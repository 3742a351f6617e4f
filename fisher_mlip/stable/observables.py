"""Observables that a model is trained on: distances within molecules, lengths of bonds."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from ase.data import chemical_symbols
from scipy.sparse import csr_array

from fisher_mlip.analysis.observables.geometry import pairs_within
from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.stable.configurations import Configurations, pair_vectors

GRID_STEP = 0.05  # Å
NUMBERS_AT_ONCE = 4_000_000


class Observable(Protocol):
    """Numbers of a configuration whose averages are known; nothing is differentiated.

    Attributes:
        name: in tables and figures.
        unit: of the numbers.
        size: n_g, how many there are.
    """

    name: str
    unit: str
    size: int

    def by_molecule(self, positions: FloatArray, cells: FloatArray | None) -> FloatArray:
        """Return each molecule's part, of which the mean is the observable.

        Args:
            positions: (n, n_atoms, 3), Å.
            cells: (n, 3, 3), Å, rows are vectors; None where not periodic.

        Returns:
            (n, n_molecules, n_g).
        """
        ...


def whole(observable: Observable, positions: FloatArray, cells: FloatArray | None) -> FloatArray:
    """Return the observable of each configuration, (n, n_g). Args: as `by_molecule`."""
    return np.asarray(observable.by_molecule(positions, cells).mean(axis=1))


class DistanceDistribution:
    """h(r): the density of all distances within molecules, each a Gaussian of 0.05 Å.

    Args:
        of: its molecules, and the distances that the grid shall hold.

    Attributes:
        grid: (n_g,), Å.

    Source:
        Raja et al., StABlE training (arXiv 2402.13984): h(r), the distribution of interatomic
        distances.
    """

    name = "h(r)"
    unit = "1/Å"

    def __init__(self, of: Configurations) -> None:
        self._pairs = pairs_within(of.molecules)
        self._members = _mean_by_molecule(of.molecules[self._pairs[:, 0]], of.n_molecules)
        lengths = np.linalg.norm(pair_vectors(of.positions, of.cells, self._pairs), axis=2)
        low, high = lengths.min(initial=1.0) - 4 * GRID_STEP, lengths.max(initial=1.0)
        self.grid = np.arange(low, high + 4 * GRID_STEP, GRID_STEP)
        self.size = len(self.grid)

    def by_molecule(self, positions: FloatArray, cells: FloatArray | None) -> FloatArray:
        """Return (n, n_molecules, n_g), 1/Å. Args: as `Observable.by_molecule`."""
        lengths = np.linalg.norm(pair_vectors(positions, cells, self._pairs), axis=2)
        found = np.empty((len(positions), self._members.shape[0], self.size))
        for part in _parts(len(positions), len(self._pairs) * self.size):
            off = (lengths[part, :, None] - self.grid) / GRID_STEP
            density = np.exp(-0.5 * off**2) / (GRID_STEP * np.sqrt(2.0 * np.pi))
            for k, of_frame in enumerate(density, start=part.start):
                found[k] = self._members @ of_frame
        return found


class BondMoment:
    """The mean length of the bonds of each pair of elements, or their mean square deviation.

    Args:
        of: its bonds; deviations are from their mean lengths in it.
        moment: 1: the length, Å; 2: the squared deviation, Å^2.

    Attributes:
        kinds: pairs of elements, `C-H` in alphabetical order, one number each.
    """

    def __init__(self, of: Configurations, moment: int) -> None:
        self.name, self.unit = {1: ("bond length", "Å"), 2: ("bond variance", "Å^2")}[moment]
        self._moment, self._bonds = moment, of.bonds
        symbols = np.array(chemical_symbols)[of.atomic_numbers[of.bonds]]
        names = ["-".join(sorted(pair)) for pair in symbols.tolist()]
        self.kinds, self._kind = np.unique(names, return_inverse=True)
        self.size = len(self.kinds)
        self._members = [
            _mean_by_molecule(of.molecules[of.bonds[self._kind == k, 0]], of.n_molecules)
            for k in range(self.size)
        ]
        lengths = np.linalg.norm(pair_vectors(of.positions, of.cells, of.bonds), axis=2)
        self._means = lengths.mean(axis=0)

    def by_molecule(self, positions: FloatArray, cells: FloatArray | None) -> FloatArray:
        """Return (n, n_molecules, n_kinds). Args: as `Observable.by_molecule`."""
        lengths = np.linalg.norm(pair_vectors(positions, cells, self._bonds), axis=2)
        values = lengths if self._moment == 1 else np.square(lengths - self._means)
        parts = [values[:, self._kind == k] @ m.T for k, m in enumerate(self._members)]
        return np.stack(parts, axis=2)


def _mean_by_molecule(owners: IntArray, n_molecules: int) -> csr_array:
    """Return (n_molecules, n_rows) whose rows' mean, applied to rows, is the mean of all rows."""
    shape = (n_molecules, len(owners))
    scale = n_molecules / max(len(owners), 1)
    return csr_array((np.full(len(owners), scale), (owners, np.arange(len(owners)))), shape=shape)


def _parts(n_frames: int, numbers_each: int) -> Iterator[slice]:
    step = max(1, NUMBERS_AT_ONCE // max(numbers_each, 1))
    for start in range(0, n_frames, step):
        yield slice(start, min(start + step, n_frames))
