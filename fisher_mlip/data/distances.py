"""Distances within a frame, and fingerprints that find near-duplicates."""

from collections import defaultdict

import numpy as np
from ase.geometry import complete_cell
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from fisher_mlip.data.frames import FloatArray, Frame, Frames, IntArray
from fisher_mlip.errors import InputError

# Root mean square change of fingerprint distances, Å, below which two frames are near-duplicates:
# a third of what thermal motion at 300 K does to the length of a C-H bond.
NEAR_DUPLICATE = 0.01
_REACH = 6.0
_SMALLEST_VOLUME = 1e-6
_NEIGHBORS = 12


def neighbor_pairs(frame: Frame, cutoff: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Return all pairs within a cutoff, both ways round, across periodic boundaries.

    Args:
        frame: any.
        cutoff: Å.

    Returns:
        First atom, second atom, distance (Å), each (n_pairs,).

    Raises:
        InputError: positions or cell are not finite, or a periodic cell has no volume.
    """
    if not (np.isfinite(frame.positions).all() and np.isfinite(frame.cell).all()):
        raise InputError("expected finite positions and cell, found NaN or infinity in a frame")
    if frame.is_periodic:
        return _periodic_pairs(frame, cutoff)
    pairs = KDTree(frame.positions).query_pairs(cutoff, output_type="ndarray")
    first, second = np.concatenate([pairs, pairs[:, ::-1]]).astype(np.int64).T
    distances = np.linalg.norm(frame.positions[first] - frame.positions[second], axis=1)
    return first, second, distances


def shortest_distance(frame: Frame, cutoff: float = _REACH) -> float:
    """Return the shortest distance between two atoms, Å; infinite beyond the cutoff."""
    distances = neighbor_pairs(frame, cutoff)[2]
    return float(distances.min()) if len(distances) else float("inf")


def fingerprint(frame: Frame) -> FloatArray:
    """Return each atom's sorted distances to its nearest atoms, in atom order.

    Unchanged by rotation, translation and the choice of periodic images.

    Returns:
        (n_atoms * 12,), Å: at most twelve neighbors within 6 Å per atom, else 6.
    """
    first, _, distances = neighbor_pairs(frame, _REACH)
    order = np.lexsort((distances, first))
    first, distances = first[order], distances[order]
    rank = np.arange(len(first)) - np.searchsorted(first, first)
    nearest = rank < _NEIGHBORS
    prints = np.full((frame.n_atoms, _NEIGHBORS), _REACH)
    prints[first[nearest], rank[nearest]] = distances[nearest]
    return np.asarray(prints.reshape(-1))


def near_duplicate_groups(frames: Frames, tolerance: float = NEAR_DUPLICATE) -> IntArray:
    """Return a group number per frame; frames linked by near-duplicates share one.

    Args:
        frames: only frames with the same atoms in the same order are compared.
        tolerance: largest root mean square difference of the fingerprints of two
            near-duplicates, over those distances that are within reach at all, Å.
    """
    by_atoms: dict[tuple[bytes, bytes], list[int]] = defaultdict(list)
    for index, frame in enumerate(frames):
        by_atoms[frame.atomic_numbers.tobytes(), frame.pbc.tobytes()].append(index)
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for members in by_atoms.values():
        prints = np.stack([fingerprint(frames[index]) for index in members])
        prints = prints[:, (prints < _REACH).any(axis=0)]
        if not prints.shape[1]:
            continue
        radius = tolerance * np.sqrt(prints.shape[1])
        found = KDTree(prints).query_pairs(radius, output_type="ndarray")
        pairs.append(np.array(members)[found].reshape(-1, 2))
    first, second = np.concatenate(pairs).T
    links = coo_array((np.ones(len(first)), (first, second)), shape=(len(frames), len(frames)))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def _periodic_pairs(frame: Frame, cutoff: float) -> tuple[IntArray, IntArray, FloatArray]:
    from vesin import NeighborList

    # Directions that are not periodic get a unit vector, so that the cell can be inverted.
    cell = complete_cell(frame.cell * frame.pbc[:, None])  # type: ignore[no-untyped-call]
    if abs(np.linalg.det(cell)) < _SMALLEST_VOLUME:
        raise InputError(f"expected a periodic cell with a volume, found {frame.cell.tolist()} Å")
    # Far away from the cell its grid of bins would overflow.
    images = np.floor(frame.positions @ np.linalg.inv(cell)) * frame.pbc
    neighbors = NeighborList(cutoff=cutoff, full_list=True, n_threads=1)
    first, second, distances = neighbors.compute(
        points=frame.positions - images @ cell,
        box=frame.cell * frame.pbc[:, None],
        periodic=frame.pbc,
        quantities="ijd",
    )
    return first.astype(np.int64), second.astype(np.int64), distances
