"""What the data have seen: lengths of bonds, angles, contacts, by the elements in them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.fisher.outside.connectivity import Connectivity
from fisher_mlip.model.graph import build_graph

# Å, of atoms that are not bonded: hydrogens of neighboring molecules are nearer.
CONTACT_REACH = 3.5


@dataclass(frozen=True, eq=False)
class Ranges:
    """Distances in the data, Å, by pair of elements.

    Attributes:
        bonds: (shortest, mean, longest) of bonds.
        angles: (smallest, mean, largest), rad, by the element in the middle and the two others.
        contacts: shortest distance of atoms three or more bonds apart.
    """

    bonds: dict[tuple[int, int], tuple[float, float, float]]
    angles: dict[tuple[int, int, int], tuple[float, float, float]]
    contacts: dict[tuple[int, int], float]

    @staticmethod
    def of(frames: Frames) -> "Ranges":
        lengths: dict[tuple[int, int], list[float]] = defaultdict(list)
        angles: dict[tuple[int, int, int], list[float]] = defaultdict(list)
        contacts: dict[tuple[int, int], float] = {}
        for frame in frames:
            bonds = Connectivity.of(frame)
            for i, j, length in zip(bonds.i, bonds.j, bonds.lengths, strict=True):
                lengths[kind_of(frame, i, j)].append(float(length))
            for i, j, vector in contacts_of(frame, bonds):
                kind, length = kind_of(frame, i, j), float(np.linalg.norm(vector))
                contacts[kind] = min(length, contacts.get(kind, length))
            for middle, i, j, angle in angles_of(bonds):
                angles[int(frame.atomic_numbers[middle]), *kind_of(frame, i, j)].append(angle)
        return Ranges(
            {k: (min(v), float(np.mean(v)), max(v)) for k, v in lengths.items()},
            {k: (min(v), float(np.mean(v)), max(v)) for k, v in angles.items()},
            contacts,
        )


def angles_of(bonds: Connectivity) -> Iterator[tuple[int, int, int, float]]:
    """Yield the atom in the middle, the two others, and the angle, rad."""
    for middle, around in arms_of(bonds).items():
        for one, other in combinations(around, 2):
            yield middle, one.end, other.end, angle_between(one.vector, other.vector)


@dataclass(frozen=True, eq=False)
class Arm:
    """A bond as seen from one of its atoms: its index, the other atom, the vector to it, Å."""

    bond: int
    end: int
    vector: FloatArray


def arms_of(bonds: Connectivity) -> dict[int, list[Arm]]:
    """Return the bonds around each atom that has any."""
    arms: dict[int, list[Arm]] = defaultdict(list)
    for bond, (i, j) in enumerate(zip(bonds.i.tolist(), bonds.j.tolist(), strict=True)):
        arms[i].append(Arm(bond, j, bonds.vectors[bond]))
        arms[j].append(Arm(bond, i, -bonds.vectors[bond]))
    return arms


def kind_of(frame: Frame, i: int, j: int) -> tuple[int, int]:
    first, second = sorted((int(frame.atomic_numbers[i]), int(frame.atomic_numbers[j])))
    return first, second


def contacts_of(frame: Frame, bonds: Connectivity) -> Iterator[tuple[int, int, FloatArray]]:
    """Yield pairs within reach that are three or more bonds apart, with the vector i to j."""
    graph = build_graph(frame, np.unique(frame.atomic_numbers).tolist(), CONTACT_REACH)
    vectors = graph.edge_vectors(graph.positions, graph.cells).numpy()
    bonded = bonds.within_two_bonds()
    for i, j, vector in zip(graph.receivers.tolist(), graph.senders.tolist(), vectors, strict=True):
        if i < j and (i, j) not in bonded:
            yield i, j, vector


def angle_between(one: FloatArray, other: FloatArray) -> float:
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))
