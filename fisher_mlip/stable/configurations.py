"""Configurations of one system, in time series, with the bonds that make its molecules."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from openmm.app import Topology

from fisher_mlip.data.bonds import bonds_by_distance
from fisher_mlip.data.frames import FloatArray, Frame, Frames, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.simulate.engine import box_vectors
from fisher_mlip.simulate.structures import topology_of
from openmm_plugin import molecule_index

# Frames that vote on the bonds.
VOTERS = 50


@dataclass(frozen=True, eq=False)
class Configurations:
    """Positions of the same atoms at many times.

    Attributes:
        atomic_numbers: (n_atoms,).
        bonds: (n_bonds, 2), atom indices.
        positions: (n, n_atoms, 3), Å.
        cells: (n, 3, 3), Å, rows are vectors; None where not periodic.
        series: (n,), which time series a configuration is of; each is in the order of time.
    """

    atomic_numbers: IntArray
    bonds: IntArray
    positions: FloatArray
    cells: FloatArray | None
    series: IntArray

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def topology(self) -> Topology:
        """Of one configuration, with its bonds and, where periodic, the first one's box."""
        return topology_with_bonds(
            self.atomic_numbers, self.bonds, None if self.cells is None else self.cells[0]
        )

    @cached_property
    def molecules(self) -> IntArray:
        """(n_atoms,), index of each atom's molecule."""
        return molecule_index(self.topology)

    @property
    def n_molecules(self) -> int:
        return int(self.molecules.max()) + 1

    def chosen(self, index: IntArray) -> "Configurations":
        """Return the configurations at these places."""
        cells = None if self.cells is None else self.cells[index]
        return replace(
            self, positions=self.positions[index], cells=cells, series=self.series[index]
        )


def topology_with_bonds(
    atomic_numbers: IntArray, bonds: IntArray, cell: FloatArray | None
) -> Topology:
    """Return an OpenMM topology of atoms, their bonds (n_bonds, 2) and the cell (3, 3), Å."""
    topology = topology_of(Frame(atomic_numbers, np.zeros((len(atomic_numbers), 3))))
    atoms = list(topology.atoms())
    for first, second in bonds:
        topology.addBond(atoms[first], atoms[second])
    if cell is not None:
        topology.setPeriodicBoxVectors(box_vectors(cell))
    return topology


def configurations_of(frames: Frames) -> Configurations:
    """Return frames as one series of configurations; bonds are those of most frames.

    Raises:
        InputError: no frames, frames of different atoms, or partly periodic ones.
    """
    source = f"'{frames.source}'"
    if not len(frames):
        raise InputError(f"expected frames in {source}, found none")
    numbers, is_periodic = frames[0].atomic_numbers, bool(frames[0].pbc.all())
    for index, frame in enumerate(frames):
        if not np.array_equal(frame.atomic_numbers, numbers):
            raise InputError(
                f"expected the same atoms in the same order in every frame of {source}, found "
                f"others in frame {index}"
            )
        if frame.pbc.any() != is_periodic or frame.pbc.all() != is_periodic:
            raise InputError(
                f"expected frames periodic in all directions or in none in {source}, found pbc "
                f"{frame.pbc.tolist()} in frame {index}"
            )
    return Configurations(
        numbers,
        usual_bonds(frames),
        np.stack([frame.positions for frame in frames]),
        np.stack([frame.cell for frame in frames]) if is_periodic else None,
        np.zeros(len(frames), dtype=np.int64),
    )


def usual_bonds(frames: Frames) -> IntArray:
    """Return the bonds by distance that most of the first frames have, (n_bonds, 2)."""
    some = frames.frames[:VOTERS]
    found = np.concatenate([bonds_by_distance(frame) for frame in some])
    bonds, votes = np.unique(found, axis=0, return_counts=True)
    return np.asarray(bonds[2 * votes > len(some)], dtype=np.int64)


def pair_vectors(positions: FloatArray, cells: FloatArray | None, pairs: IntArray) -> FloatArray:
    """Return x_second - x_first of the nearest images, (n, n_pairs, 3), Å.

    Right for pairs closer than half the box.

    Args:
        positions: (n, n_atoms, 3), Å.
        cells: (n, 3, 3), Å, rows are vectors; None where not periodic.
        pairs: (n_pairs, 2), atom indices.
    """
    vectors = positions[:, pairs[:, 1]] - positions[:, pairs[:, 0]]
    if cells is not None:
        vectors = vectors - np.round(vectors @ np.linalg.inv(cells)) @ cells
    return np.asarray(vectors)
