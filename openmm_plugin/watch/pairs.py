"""Pairs of atoms closer than a distance, in any cell, and the shortest between molecules."""

import itertools

import numpy as np
from openmm.app import Topology
from scipy.spatial import cKDTree

from openmm_plugin.bonds import molecule_index
from openmm_plugin.kinetics import FloatArray, IntArray
from openmm_plugin.watch.criterion import Criterion
from openmm_plugin.watch.look import Look


class IntermolecularDistance(Criterion):
    """The shortest distance between atoms of different molecules; too short is beyond the bound.

    Distances above `reach` are reported as `reach`: a search further out only costs. Contacts of a
    molecule with its own periodic image are not looked at.

    Args:
        topology: with the bonds that make molecules.
        threshold: Å.
        reach: Å; at least the threshold.

    Source:
        Raja et al., Stability-Aware Training (StABlE), 2024: water is unstable once two molecules
        are closer than 1.2 Å.
    """

    name = "intermolecular distance"
    unit = "Å"

    def __init__(self, topology: Topology, threshold: float = 1.2, *, reach: float = 1.6) -> None:
        super().__init__(threshold)
        self._molecules = molecule_index(topology)
        self._reach = max(reach, threshold)
        self._closest = (-1, -1)

    def measure(self, look: Look) -> float:
        """Return Å."""
        pairs, distances = near_pairs(look.positions, look.cell, self._reach, self._molecules)
        if not len(distances):
            self._closest = (-1, -1)
            return self._reach
        shortest = int(np.argmin(distances))
        self._closest = (int(pairs[shortest, 0]), int(pairs[shortest, 1]))
        return float(distances[shortest])

    def is_beyond(self, value: float) -> bool:
        return value < self.threshold

    def where(self) -> str:
        first, second = sorted(self._closest)
        return "" if first < 0 else f"atoms {first} and {second}"


def near_pairs(
    positions: FloatArray, cell: FloatArray | None, reach: float, molecules: IntArray
) -> tuple[IntArray, FloatArray]:
    """Return pairs of atoms of different molecules that are closer than `reach`, each image once.

    Atoms are wrapped into the cell, and those near its faces are repeated on the other side, so
    that a tree without periodic boundaries finds every pair, also in a triclinic cell.

    Args:
        positions: (n_atoms, 3), Å, finite.
        cell: (3, 3), Å, rows are vectors; None where not periodic.
        reach: Å.
        molecules: (n_atoms,), index of each atom's molecule.

    Returns:
        (n_pairs, 2), atom indices, and (n_pairs,), Å.
    """
    n_atoms = len(positions)
    points, atoms = (
        (positions, np.arange(n_atoms)) if cell is None else _with_images(positions, cell, reach)
    )
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    found = tree.query_pairs(reach, output_type="ndarray")
    found = found[found.min(axis=1, initial=n_atoms) < n_atoms]
    pairs = atoms[found]
    is_between = molecules[pairs[:, 0]] != molecules[pairs[:, 1]]
    between = found[is_between]
    distances = np.linalg.norm(points[between[:, 1]] - points[between[:, 0]], axis=1)
    return pairs[is_between], distances


def _with_images(
    positions: FloatArray, cell: FloatArray, reach: float
) -> tuple[FloatArray, IntArray]:
    """Return the wrapped atoms, then their images near the cell on one half of its sides.

    Of two images that see each other across a face, one is enough: the shifts are those whose
    first component that is not zero is positive.
    """
    inverse = np.linalg.inv(cell)
    fractions = positions @ inverse
    fractions -= np.floor(fractions)
    # Distance between faces: 1 / |column of the inverse|.
    margins = reach * np.linalg.norm(inverse, axis=0)
    is_at_face = ((fractions <= margins) | (fractions >= 1.0 - margins)).any(axis=1)
    at_face, atoms = fractions[is_at_face], np.flatnonzero(is_at_face)
    spans = [range(-int(np.ceil(margin)), int(np.ceil(margin)) + 1) for margin in margins]
    parts, owners = [fractions], [np.arange(len(fractions))]
    for shift in itertools.product(*spans):
        if shift <= (0, 0, 0):
            continue
        moved = at_face + shift
        is_near = ((moved >= -margins) & (moved <= 1.0 + margins)).all(axis=1)
        parts.append(moved[is_near])
        owners.append(atoms[is_near])
    return np.concatenate(parts) @ cell, np.concatenate(owners)
