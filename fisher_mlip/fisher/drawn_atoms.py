"""Frames -> the atoms whose force rows are summed: all of small frames, some of large ones.

A row of the Jacobian costs what its atom's surroundings do. Rows of some atoms of many frames say
what rows of all of them would, once there are several to a feature.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.data.split import configuration

# Force components to a feature beyond which more are not needed: with n of them the error of theta
# adds 1/n to the squared force error. Fewer lose part of a head's gain (docs/README.md).
ROWS_PER_FEATURE = 24.0
# Of a frame at least: molecules are taken whole, and a box that is added later is not a handful.
FEWEST_ATOMS = 32
# Frames that judge need fewer: nothing is solved from them.
PART_TO_JUDGE = 0.25
# Of those drawn, the part that is taken for its large forces.
PART_OF_LARGEST = 0.25


@dataclass(frozen=True, eq=False)
class DrawnAtoms:
    """Atoms of some frames, whose atoms come frame after frame.

    Attributes:
        index: (n,), ascending.
        stands_for: (n,), how many atoms of its frame each stands for; their sum is that of all.
    """

    index: Tensor
    stands_for: Tensor


def most_atoms_of(frames: Frames, n_features: int, rows_per_feature: float) -> int | None:
    """Return how many atoms of a frame are enough, None where all of every frame are needed.

    Args:
        frames: that are summed.
        n_features: that are solved for.
        rows_per_feature: force components to a feature that are enough; 0 for all there are.
    """
    sizes = np.array([frame.n_atoms for frame in frames])
    wanted = rows_per_feature * n_features / 3.0
    if rows_per_feature == 0.0 or sizes.sum() <= wanted:
        return None
    low, high = FEWEST_ATOMS, int(sizes.max())
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if np.minimum(sizes, middle).sum() >= wanted else (middle + 1, high)
        )
    return low if low < sizes.max() else None


def enough_atoms(
    training: Frames, held_out: Frames, n_features: int, rows_per_feature: float
) -> tuple[int | None, int | None]:
    """Return how many atoms of a frame to solve from, and to judge by; None for all of them.

    Args: as `most_atoms_of`.
    """
    return (
        most_atoms_of(training, n_features, rows_per_feature),
        most_atoms_of(held_out, n_features, PART_TO_JUDGE * rows_per_feature),
    )


def drawn_atoms(frames: Frames, most: int) -> DrawnAtoms:
    """Return the atoms of a batch of frames, the same ones for the same frame each time.

    A quarter of those drawn are the ones with the largest forces: where atoms come too close, few
    rows say it all. The others are drawn at random and stand for the rest, so that sums over rows
    are those over all atoms in the mean.

    Args:
        frames: with forces.
        most: atoms of a frame.

    Source:
        stratified sampling with a certainty stratum (Cochran, Sampling Techniques, 1977, ch. 5).
    """
    index, stands_for, first = [], [], 0
    for frame in frames:
        chosen, weight = _of_frame(frame, most)
        index.append(first + chosen)
        stands_for.append(weight)
        first += frame.n_atoms
    return DrawnAtoms(
        torch.from_numpy(np.concatenate(index)), torch.from_numpy(np.concatenate(stands_for))
    )


def _of_frame(
    frame: Frame, most: int
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], FloatArray]:
    n = frame.n_atoms
    if n <= most or frame.forces is None:
        return np.arange(n), np.ones(n)
    seed = int.from_bytes(hashlib.sha256(configuration(frame)).digest()[:8], "little")
    order = np.random.default_rng(seed).permutation(n)
    n_largest = int(PART_OF_LARGEST * most)
    sizes = np.linalg.norm(frame.forces, axis=1)
    largest = np.argsort(-sizes, kind="stable")[:n_largest]
    others = order[~np.isin(order, largest)][: most - n_largest]
    weight = np.ones(n)
    weight[others] = (n - n_largest) / (most - n_largest)
    chosen = np.sort(np.concatenate([largest, others]))
    return chosen, weight[chosen]
