"""Ways out of the data along which any reference's energy rises: no labels are needed.

Every scan starts where the frames end and goes outward. Bonds are stretched to twice and
compressed to 0.6 of their mean length, angles are closed and opened, atoms and molecules that are
not bonded are pushed together, and the frames' own quasi-harmonic modes are followed beyond the
largest amplitude seen.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from fisher_mlip.data.frames import FloatArray, Frame, Frames, IntArray
from fisher_mlip.fisher.outside.connectivity import Connectivity
from fisher_mlip.fisher.outside.modes import mode_scans
from fisher_mlip.fisher.outside.ranges import (
    Arm,
    Ranges,
    angle_between,
    angle_kind_of,
    arms_of,
    contacts_of,
    kind_of,
)
from fisher_mlip.fisher.outside.scan import PART, Kind, Scan
from fisher_mlip.fisher.outside.starts import Start, start_of
from fisher_mlip.fisher.outside.valence import ValenceField

STEP = 0.08  # Å
STRETCHED, COMPRESSED = 2.0, 0.6
# rad: how far from the mean angle to go, and no further than nearly straight.
BENT, STRAIGHT, N_ANGLES = 1.2, 3.1, 9
CONTACT = 0.6
# Of the frames that say what has been seen.
ATOMS_LOOKED_AT = 5000


class Way(NamedTuple):
    """Points on a way out and the distance gone, Å, before it is known how energies rise."""

    kind: Kind
    name: str
    points: tuple[Frame, ...]
    path: FloatArray


def make_scans(
    frames: Frames, *, n_starts: int = 6, max_atoms: int = 40_000, seed: int = 0
) -> list[Scan]:
    """Return scans from `n_starts` of the frames, as many as `max_atoms` atoms in all allow.

    Args:
        frames: that say what has been seen; those with forces also scale the modes.
        n_starts: frames to start from, chosen at random.
        max_atoms: of all points together.
        seed: of the choices.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(frames))
    seen = Ranges.of(_within(frames.subset(order), ATOMS_LOOKED_AT))
    scans: list[Scan] = list(mode_scans(frames))
    n_atoms = sum(frame.n_atoms for scan in scans for frame in scan.points)
    for index in order[:n_starts]:
        start = start_of(frames[int(index)], rng)
        field = ValenceField(start, seen)
        ways = [*_bond_ways(start, seen), *_bend_ways(start, seen), *_contact_ways(start, seen)]
        for place in rng.permutation(len(ways)):
            scan = _rising(ways[place], field)
            size = 0 if scan is None else sum(frame.n_atoms for frame in scan.points)
            if scan is not None and n_atoms + size <= max_atoms:
                scans.append(scan)
                n_atoms += size
    return scans


def _rising(way: Way, field: ValenceField) -> Scan | None:
    """Return the part of a way along which the least energy of any reference rises most.

    None if it rises nowhere. An atom that is pushed against another may first come nearer to the
    mean length of its own bond.
    """
    # The data may go as far as a way would: then nothing is outside.
    if len(way.points) < 2:
        return None
    energies = field.energies(np.stack([point.positions for point in way.points]))
    falls = np.flatnonzero(np.diff(energies) <= 0.0)
    edges = zip([0, *(falls + 1)], [*falls, len(energies) - 1], strict=True)
    first, last = max(edges, key=lambda ends: energies[ends[1]] - energies[ends[0]])
    if first == last:
        return None
    kept = slice(first, last + 1)
    path = way.path[kept] - way.path[first]
    return Scan(way.kind, way.name, way.points[kept], path, PART * np.diff(energies[kept]))


def _within(frames: Frames, max_atoms: int) -> Frames:
    """Return the first frames that have no more than `max_atoms` atoms together, at least one."""
    total = np.cumsum([frame.n_atoms for frame in frames])
    return frames.subset(range(max(1, int(np.searchsorted(total, max_atoms, side="right")))))


def _bond_ways(start: Start, seen: Ranges) -> Iterator[Way]:
    frame, bonds = start.frame, start.bonds
    for bond, (i, j) in enumerate(zip(bonds.i.tolist(), bonds.j.tolist(), strict=True)):
        kind = kind_of(frame, i, j)
        if kind not in seen.bonds or not start.is_core[[i, j]].any():
            continue
        span = seen.bonds[kind]
        side = bonds.side_of(bond)
        outward = bonds.vectors[bond] / bonds.lengths[bond] * (1.0 if j in side else -1.0)
        for name, lengths in (
            ("stretch", np.arange(span.most, STRETCHED * span.mean + STEP, STEP)),
            ("compress", np.arange(span.least, COMPRESSED * span.mean - STEP / 2, -STEP / 2)),
        ):
            points = _moved(frame, side, outward, lengths - bonds.lengths[bond])
            kind_of_way: Kind = "stretch" if name == "stretch" else "compress"
            yield Way(kind_of_way, _name(frame, i, j), points, np.abs(lengths - lengths[:1]))


def _bend_ways(start: Start, seen: Ranges) -> Iterator[Way]:
    """Close and open each angle by turning the smaller arm about the atom in the middle."""
    frame, bonds = start.frame, start.bonds
    for middle, around in arms_of(bonds).items():
        if not start.is_core[middle]:
            continue
        sides = {arm.bond: bonds.side_of(arm.bond) for arm in around}
        for pair in combinations(around, 2):
            # An arm can turn where it is the smaller side of its bond.
            free = [arm for arm in pair if arm.end in sides[arm.bond]]
            kind = angle_kind_of(frame, pair[0].end, middle, pair[1].end)
            if not free or kind not in seen.angles:
                continue
            turned = min(free, key=lambda arm: len(sides[arm.bond]))
            fixed = pair[0] if turned is pair[1] else pair[1]
            axis = np.cross(fixed.vector, turned.vector)
            if np.linalg.norm(axis) < 1e-3:
                continue
            span = seen.angles[kind]
            now = angle_between(*(arm.vector for arm in pair))
            for edge, last in (
                (span.least, span.mean - BENT),
                (span.most, min(span.mean + BENT, STRAIGHT)),
            ):
                angles = np.linspace(edge, last, N_ANGLES)
                if abs(last - span.mean) <= abs(edge - span.mean):
                    continue
                points = _turned(frame, bonds, turned, sides[turned.bond], axis, angles - now)
                path = np.abs(angles - edge) * float(np.linalg.norm(turned.vector))
                name = f"{_name(frame, fixed.end, middle)}-{_name(frame, turned.end)}"
                yield Way("bend", name, points, path)


def _turned(
    frame: Frame,
    bonds: Connectivity,
    arm: Arm,
    side: IntArray,
    axis: FloatArray,
    angles: FloatArray,
) -> tuple[Frame, ...]:
    """Turn the atoms of `side`, which the arm ends in, about an axis through the arm's start."""
    bare = replace(frame, energy=None, forces=None, stress=None)
    # Through the boundaries: where a fragment is wrapped, its atoms are a box apart.
    radii = arm.vector + bonds.vectors_from(arm.end)[side]
    points = []
    for angle in angles:
        rotation = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
        positions = frame.positions.copy()
        positions[side] += rotation.apply(radii) - radii
        points.append(replace(bare, positions=positions))
    return tuple(points)


def _contact_ways(start: Start, seen: Ranges) -> Iterator[Way]:
    """Push the closest pair of each kind of atoms together, with all that is fixed to either.

    Atoms of two molecules bring their molecules; atoms of one molecule come alone.
    """
    frame, bonds = start.frame, start.bonds
    molecules = bonds.molecules()
    closest: dict[tuple[tuple[int, int], bool], tuple[int, int, FloatArray]] = {}
    for i, j, vector in contacts_of(frame, bonds):
        if not start.is_core[[i, j]].any():
            continue
        key = (kind_of(frame, i, j), bool(molecules[i] == molecules[j]))
        if key not in closest or np.linalg.norm(vector) < np.linalg.norm(closest[key][2]):
            closest[key] = (i, j, vector)
    for (kind, inside), (i, j, vector) in closest.items():
        distance = float(np.linalg.norm(vector))
        edge = min(distance, seen.contacts.get(kind, distance))
        lengths = np.arange(edge, CONTACT * edge, -STEP)
        side = np.array([j]) if inside else np.flatnonzero(molecules == molecules[j])
        points = _moved(frame, side, vector / distance, lengths - distance)
        yield Way("contact", _name(frame, i, j), points, edge - lengths)


def _moved(
    frame: Frame, side: IntArray, direction: FloatArray, shifts: FloatArray
) -> tuple[Frame, ...]:
    bare = replace(frame, energy=None, forces=None, stress=None)
    points = []
    for shift in shifts:
        positions = frame.positions.copy()
        positions[side] += shift * direction
        points.append(replace(bare, positions=positions))
    return tuple(points)


def _name(frame: Frame, *atoms: int) -> str:
    from ase.data import chemical_symbols

    return "-".join(f"{chemical_symbols[int(frame.atomic_numbers[k])]}{k}" for k in atoms)
