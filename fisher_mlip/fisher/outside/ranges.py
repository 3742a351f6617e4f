"""What the data have seen of bonds, angles and contacts, by the elements in them."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.fisher.outside.connectivity import Connectivity
from fisher_mlip.model.graph import build_graph

# Å, of atoms that are not bonded: hydrogens of neighboring molecules are nearer.
CONTACT_REACH = 3.5
# A stiffness counts when it is this many times its statistical error.
SIGNIFICANT = 5.0


@dataclass(frozen=True)
class Span:
    """Where a bond length (Å) or an angle (rad) was seen.

    Attributes:
        least: smallest value.
        mean: of all.
        most: largest value.
        stiffness: eV/Å^2 or eV/rad^2 with everything else relaxed, as forces and fluctuations say
            it together; None where they say nothing.
    """

    least: float
    mean: float
    most: float
    stiffness: float | None = None

    @staticmethod
    def of(seen: "Sequence[Seen]") -> "Span":
        """Return the span of values seen, with the stiffness from the end that tells it better.

        In equilibrium <(x - <x>) F> = -kT, whichever atom moves to change x, and
        <(x - <x>)^2> = kT / k: their ratio is the stiffness, whatever the temperature. The force
        on a hydrogen says most of its bond; that on a carbon is mostly of its other bonds.
        """
        x = np.array([value.x for value in seen])
        span = Span(float(x.min()), float(x.mean()), float(x.max()))
        pulls = np.array([value.pulls for value in seen])
        known = np.isfinite(pulls).all(axis=1)
        if not known.any():
            return span
        off, force = x[known] - x[known].mean(), pulls[known]
        sizes = np.sqrt(np.square(off).sum() * np.square(force).sum(axis=0))
        if sizes.min() == 0.0:
            return span
        correlation = -(off @ force) / sizes
        best = int(correlation.argmax())
        if correlation[best] * math.sqrt(len(off)) < SIGNIFICANT:
            return span
        return replace(span, stiffness=-float(off @ force[:, best]) / float(off @ off))


class Seen(NamedTuple):
    """One bond length or angle, and the generalized force on it at each of its ends, or NaN."""

    x: float
    pulls: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Ranges:
    """What was seen, by elements.

    Attributes:
        bonds: lengths, by pair of elements.
        angles: by the element in the middle and the two others.
        contacts: shortest distance of atoms three or more bonds apart, Å, by pair of elements.
    """

    bonds: dict[tuple[int, int], Span]
    angles: dict[tuple[int, int, int], Span]
    contacts: dict[tuple[int, int], float]

    @staticmethod
    def of(frames: Frames) -> "Ranges":
        bonds: dict[tuple[int, int], list[Seen]] = defaultdict(list)
        angles: dict[tuple[int, int, int], list[Seen]] = defaultdict(list)
        contacts: dict[tuple[int, int], float] = {}
        for frame in frames:
            found = Connectivity.of(frame)
            for kind, length in _lengths_of(frame, found):
                bonds[kind].append(length)
            for angle_kind, angle in _angles_of(frame, found):
                angles[angle_kind].append(angle)
            for i, j, vector in contacts_of(frame, found):
                pair, distance = kind_of(frame, i, j), float(np.linalg.norm(vector))
                contacts[pair] = min(distance, contacts.get(pair, distance))
        return Ranges(
            {key: Span.of(seen) for key, seen in bonds.items()},
            {key: Span.of(seen) for key, seen in angles.items()},
            contacts,
        )


def _lengths_of(frame: Frame, bonds: Connectivity) -> Iterator[tuple[tuple[int, int], Seen]]:
    """Yield the kind of each bond and its length with the force along it; the lighter end first."""
    forces, numbers = _forces_of(frame), frame.atomic_numbers
    for i, j, vector, length in zip(bonds.i, bonds.j, bonds.vectors, bonds.lengths, strict=True):
        pulls = (
            -float(forces[i] @ vector) / float(length),
            float(forces[j] @ vector) / float(length),
        )
        ordered = pulls if numbers[i] <= numbers[j] else pulls[::-1]
        yield kind_of(frame, i, j), Seen(float(length), ordered)


def _angles_of(frame: Frame, bonds: Connectivity) -> Iterator[tuple[tuple[int, int, int], Seen]]:
    """Yield the kind of each angle and the angle with the torques; the lighter end first."""
    numbers = frame.atomic_numbers
    found = [
        (middle, first, second)
        for middle, around in arms_of(bonds).items()
        for first, second in combinations(sorted(around, key=lambda arm: numbers[arm.end]), 2)
    ]
    if not found:
        return
    one = np.stack([first.vector for _, first, _ in found])
    other = np.stack([second.vector for _, _, second in found])
    ends = np.array([(first.end, second.end) for _, first, second in found])
    axis = np.cross(one, other)
    sizes = np.linalg.norm(axis, axis=1)
    forces = _forces_of(frame)
    with np.errstate(divide="ignore", invalid="ignore"):
        closing = (np.cross(one, forces[ends[:, 0]]) * axis).sum(axis=1) / sizes
        opening = (np.cross(other, forces[ends[:, 1]]) * axis).sum(axis=1) / sizes
    angles = angles_between(one, other)
    for k, (middle, first, second) in enumerate(found):
        if sizes[k] >= 1e-6:
            kind = angle_kind_of(frame, first.end, middle, second.end)
            yield kind, Seen(float(angles[k]), (-float(closing[k]), float(opening[k])))


def _forces_of(frame: Frame) -> FloatArray:
    return np.full((frame.n_atoms, 3), np.nan) if frame.forces is None else frame.forces


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


def angle_kind_of(frame: Frame, i: int, middle: int, j: int) -> tuple[int, int, int]:
    return int(frame.atomic_numbers[middle]), *kind_of(frame, i, j)


def contacts_of(frame: Frame, bonds: Connectivity) -> Iterator[tuple[int, int, FloatArray]]:
    """Yield pairs within reach that are three or more bonds apart, with the vector i to j."""
    graph = build_graph(frame, np.unique(frame.atomic_numbers).tolist(), CONTACT_REACH)
    vectors = graph.edge_vectors(graph.positions, graph.cells).numpy()
    bonded = bonds.within_two_bonds()
    for i, j, vector in zip(graph.receivers.tolist(), graph.senders.tolist(), vectors, strict=True):
        if i < j and (i, j) not in bonded:
            yield i, j, vector


def angle_between(one: FloatArray, other: FloatArray) -> float:
    return float(angles_between(one[None], other[None])[0])


def angles_between(ones: FloatArray, others: FloatArray) -> FloatArray:
    """Return the angles (n,), rad, between vectors (n, 3)."""
    sizes = np.linalg.norm(ones, axis=1) * np.linalg.norm(others, axis=1)
    cosines = (ones * others).sum(axis=1) / sizes
    return np.asarray(np.arccos(np.clip(cosines, -1.0, 1.0)))
