"""Which replicas are lost: bonds off their length, molecules too close, or too hot."""

import numpy as np

from fisher_mlip.data.frames import BoolArray, FloatArray
from fisher_mlip.stable.configurations import Configurations, pair_vectors
from fisher_mlip.units import BOLTZMANN_KJ_PER_MOL_K
from openmm_plugin.watch.bounds import STANDARD_DEVIATIONS
from openmm_plugin.watch.pairs import near_pairs


class Criteria:
    """Bounds on each replica of a system.

    Args:
        of: reference configurations: bonds, their mean lengths, molecules.
        masses: (n_atoms,), amu.
        temperature: K.
        bond_deviation: largest, of a bond from its mean length in the reference, Å.
        intermolecular_distance: shortest, Å, in a periodic box; 0 for none.
        temperature_ratio: largest temperature over the target, less what chance does.

    Source:
        Raja et al., StABlE training (arXiv 2402.13984): bonds for molecules, the distance between
        molecules for liquids (water: 1.2 Å), both after Fu et al., TMLR 2023.
    """

    def __init__(
        self,
        of: Configurations,
        masses: FloatArray,
        temperature: float,
        *,
        bond_deviation: float = 0.25,
        intermolecular_distance: float = 1.2,
        temperature_ratio: float = 2.0,
    ) -> None:
        self._bonds, self._molecules, self._masses = of.bonds, of.molecules, masses
        lengths = np.linalg.norm(pair_vectors(of.positions, of.cells, of.bonds), axis=2)
        self._lengths = lengths.mean(axis=0)
        self._bond_deviation = bond_deviation
        has_neighbors = of.cells is not None and of.n_molecules > 1
        self._shortest = intermolecular_distance if has_neighbors else 0.0
        freedom = 3.0 * len(masses)
        chance = STANDARD_DEVIATIONS * np.sqrt(2.0 / freedom)
        self._hottest = (temperature_ratio + chance) * temperature
        self._kelvin_each = 1.0 / (freedom * BOLTZMANN_KJ_PER_MOL_K)

    def are_lost(
        self, positions: FloatArray, velocities: FloatArray, cells: FloatArray | None
    ) -> BoolArray:
        """Return which replicas passed a bound, or are not finite, (n_replicas,).

        Args:
            positions: (n_replicas, n_atoms, 3), Å.
            velocities: (n_replicas, n_atoms, 3), nm/ps.
            cells: (n_replicas, 3, 3), Å; None where not periodic.
        """
        with np.errstate(all="ignore"):
            off = self.bond_deviations(positions, cells)
            squares = self._masses[:, None] * np.square(velocities)
            temperatures = squares.sum(axis=(1, 2)) * self._kelvin_each
            # Written so that a NaN is lost.
            kept = (off <= self._bond_deviation) & (temperatures <= self._hottest)
        for k in np.flatnonzero(kept):
            if self._shortest > 0.0 and cells is not None:
                close, _ = near_pairs(positions[k], cells[k], self._shortest, self._molecules)
                kept[k] = not len(close)
        return np.asarray(~kept)

    def bond_deviations(self, positions: FloatArray, cells: FloatArray | None) -> FloatArray:
        """Return the largest deviation of a bond of each replica, Å. Args: as `are_lost`."""
        with np.errstate(all="ignore"):
            lengths = np.linalg.norm(pair_vectors(positions, cells, self._bonds), axis=2)
            off = np.abs(lengths - self._lengths).max(axis=1, initial=0.0)
        finite = np.isfinite(positions).all(axis=(1, 2))
        return np.asarray(np.where(finite, off, np.nan))
