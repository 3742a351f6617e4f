"""Trajectory -> h(r), and the distributions of bond lengths and angles by kind."""

from dataclasses import dataclass
from itertools import chain

import mdtraj
import numpy as np

from fisher_mlip.analysis.observables.distribution import (
    FEWEST_REPLICAS,
    Distance,
    Distribution,
    Streamed,
    absolute_distance,
    wasserstein_distance,
)
from fisher_mlip.analysis.run import Reference, Run
from fisher_mlip.analysis.trajectory import distances, iterate_chunks
from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.errors import InputError

# Å: bins and reach of h(r) and of bonds; degrees: of angles. What is further is in the last bin.
_DISTANCES = np.linspace(0.0, 15.0, 301)
_BONDS = np.linspace(0.0, 4.0, 801)
_ANGLES = np.linspace(0.0, 180.0, 361)


@dataclass(frozen=True, eq=False)
class Geometry:
    """How the molecules of a run look.

    Attributes:
        distances: h(r), all distances between atoms of a molecule, Å.
        bonds: lengths by elements, `C-H`, Å.
        angles: between neighboring bonds by elements, the middle one in the middle, degrees.
        n_frames: frames read.
    """

    distances: Distribution
    bonds: dict[str, Distribution]
    angles: dict[str, Distribution]
    n_frames: int


@dataclass(frozen=True)
class GeometryDistance:
    """How far a run's geometry is from that of a reference.

    Attributes:
        distances: of h(r), without unit.
        bonds: 1-Wasserstein by kind, Å.
        angles: likewise, degrees.
    """

    distances: Distance
    bonds: dict[str, Distance]
    angles: dict[str, Distance]


def geometry_of(run: Run, *more: Run) -> Geometry:
    """Measure the trajectory of a run, or of several replicas of it.

    Args:
        run: with bonds, and molecules of two atoms or more.
        more: of the same atoms.

    Returns:
        Distributions with standard errors between molecules, where there are 8 or more that do not
        see each other, else between blocks of time (up to 24).

    Raises:
        InputError: there are no bonds or no frames.

    Source: h(r) = 1/(N(N-1)) sum_{i != j} delta(r - |x_i - x_j|), Fu et al., TMLR 2023
        (arXiv 2210.07237).
    """
    reference = run.reference
    if not len(reference.bonds):
        raise InputError(f"expected bonds to measure in '{run.path}', found none")
    pairs, angles = pairs_within(reference.molecule_index), angles_of(reference.bonds)
    by_molecule = run.molecules is not None and reference.n_molecules >= FEWEST_REPLICAS
    index = reference.molecule_index if by_molecule else None

    def streamed(edges: FloatArray, items: IntArray) -> Streamed:
        return Streamed(edges, None if index is None else index[items[:, 0]])

    every = streamed(_DISTANCES, pairs)
    bonds = {
        kind: (of, streamed(_BONDS, reference.bonds[of]))
        for kind, of in _kinds(reference, reference.bonds).items()
    }
    bends = {
        kind: (of, streamed(_ANGLES, angles[of])) for kind, of in _kinds(reference, angles).items()
    }
    n_frames = 0
    for times, chunk in chain.from_iterable(map(iterate_chunks, (run, *more))):
        n_frames += len(times)
        every.add(distances(chunk, pairs))
        lengths, degrees = distances(chunk, reference.bonds), _degrees(chunk, angles)
        for of, histogram in bonds.values():
            histogram.add(lengths[:, of])
        for of, histogram in bends.values():
            histogram.add(degrees[:, of])
    h = every.finish()
    if h is None:
        raise InputError(f"expected frames to measure in '{run.path}', found none")
    return Geometry(h, _finished(bonds), _finished(bends), n_frames)


def geometry_distance(found: Geometry, reference: Geometry, *, seed: int = 0) -> GeometryDistance:
    """Compare two runs; kinds that only one of them has are left out.

    Args:
        found, reference: of runs of the same molecules.
        seed: of the bootstrap.
    """
    return GeometryDistance(
        absolute_distance(found.distances, reference.distances, seed=seed),
        _wasserstein(found.bonds, reference.bonds, seed),
        _wasserstein(found.angles, reference.angles, seed),
    )


def pairs_within(molecules: IntArray) -> IntArray:
    """Return all pairs of atoms of one molecule, (n_pairs, 2), of each atom's molecule (n,)."""
    order = np.argsort(molecules, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(molecules[order])) + 1)
    parts = [np.stack(np.triu_indices(len(group), 1), axis=1) for group in groups]
    found = [group[part] for group, part in zip(groups, parts, strict=True)]
    return np.concatenate(found).reshape(-1, 2)


def angles_of(bonds: IntArray) -> IntArray:
    """Return (n_angles, 3), the atoms of every two bonds that share the middle one."""
    neighbors: dict[int, list[int]] = {}
    for i, j in bonds:
        neighbors.setdefault(int(i), []).append(int(j))
        neighbors.setdefault(int(j), []).append(int(i))
    found = [
        (first, middle, last)
        for middle, others in sorted(neighbors.items())
        for place, first in enumerate(others)
        for last in others[place + 1 :]
    ]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def _kinds(reference: Reference, items: IntArray) -> dict[str, IntArray]:
    """Return the rows of bonds or angles by the elements of their atoms."""
    rows: dict[str, list[int]] = {}
    for row, atoms in enumerate(items):
        symbols = [reference.symbols[atom] for atom in atoms]
        if symbols[0] > symbols[-1]:
            symbols.reverse()
        rows.setdefault("-".join(symbols), []).append(row)
    return {kind: np.array(found) for kind, found in sorted(rows.items())}


def _degrees(chunk: "mdtraj.Trajectory", angles: IntArray) -> FloatArray:
    if not len(angles):
        return np.zeros((chunk.n_frames, 0))
    is_periodic = chunk.unitcell_lengths is not None
    with np.errstate(all="ignore"):
        radians = mdtraj.compute_angles(chunk, angles, periodic=is_periodic)
        return np.degrees(np.asarray(radians, dtype=np.float64))


def _finished(streams: dict[str, tuple[IntArray, Streamed]]) -> dict[str, Distribution]:
    found = {kind: histogram.finish() for kind, (_, histogram) in streams.items()}
    return {kind: one for kind, one in found.items() if one is not None}


def _wasserstein(
    found: dict[str, Distribution], reference: dict[str, Distribution], seed: int
) -> dict[str, Distance]:
    return {
        kind: wasserstein_distance(one, reference[kind], seed=seed)
        for kind, one in found.items()
        if kind in reference
    }
