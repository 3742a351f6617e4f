"""What an artefact is tried on when its user gives no frames: made of its elements alone."""

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii

from fisher_mlip.data.frames import FloatArray, Frame, IntArray

N_ATOMS = 9
# More elements than this share the probes in turn; each seed takes others.
MOST_ELEMENTS = 16
# Bonds that an element of the first rows usually has; others grow as if they had four.
_VALENCES = {1: 1, 6: 4, 7: 3, 8: 2, 9: 1, 16: 2, 17: 1, 35: 1, 53: 1}


def probe_numbers(elements: Sequence[int], seed: int) -> IntArray:
    """Return atomic numbers of a probe: every element, those of many bonds first.

    Args:
        elements: that the model knows.
        seed: of the choice among many.
    """
    generator = np.random.default_rng(seed)
    chosen = list(elements)
    if len(chosen) > MOST_ELEMENTS:
        chosen = sorted(generator.choice(chosen, MOST_ELEMENTS, replace=False).tolist())
    size = max(N_ATOMS, len(chosen))
    numbers = (chosen * size)[:size]
    return np.array(sorted(numbers, key=lambda z: (-_VALENCES.get(z, 4), z)), dtype=np.int64)


def probe_molecule(elements: Sequence[int], seed: int = 0) -> Frame:
    """Return atoms grown onto each other at bond lengths, without symmetry, in open space.

    Each atom is put at the sum of covalent radii from an earlier one with a bond to spare, in the
    roomiest of many directions.
    """
    generator = np.random.default_rng(seed)
    numbers = probe_numbers(elements, seed)
    positions = np.zeros((len(numbers), 3))
    bonds = np.zeros(len(numbers), dtype=np.int64)
    for new in range(1, len(numbers)):
        spare = np.array([_VALENCES.get(int(z), 4) for z in numbers[:new]]) - bonds[:new]
        partner = int(np.argmax(spare + generator.uniform(0.0, 0.5, new)))
        length = covalent_radii[numbers[partner]] + covalent_radii[numbers[new]]
        directions = generator.normal(size=(200, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        tried = positions[partner] + length * directions
        positions[new] = tried[np.argmax(_room(tried, positions[:new]))]
        bonds[[partner, new]] += 1
    positions += generator.normal(0.0, 0.04, positions.shape)
    return Frame(numbers, positions - positions.mean(axis=0))


def probe_crystal(elements: Sequence[int], seed: int = 0) -> Frame:
    """Return the molecule's atoms on a distorted grid in a small triclinic cell.

    The cell is smaller than twice any usual cutoff: atoms see their own images.
    """
    generator = np.random.default_rng(seed + 1)
    numbers = generator.permutation(probe_numbers(elements, seed))
    spacing = 1.15 * 2.0 * float(np.mean([covalent_radii[z] for z in numbers])) + 0.4
    sides = np.array([2, 2, -(-len(numbers) // 4)])
    cell = np.array([[1.0, 0.0, 0.0], [0.15, 1.0, 0.0], [-0.1, 0.2, 1.0]]) * sides[:, None]
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in sides), indexing="ij"), -1).reshape(-1, 3)
    scaled = grid[: len(numbers)] / sides
    positions = spacing * scaled @ cell + generator.uniform(-0.15, 0.15, (len(numbers), 3))
    return Frame(numbers, positions, spacing * cell, np.ones(3, dtype=bool))


def scattered(frame: Frame, kept: Sequence[int], distance: float) -> Frame:
    """Return the frame with all but the kept atoms on a wide grid, none near another.

    Args:
        frame: open.
        kept: indices of atoms that stay where they are.
        distance: Å, that no pair with a scattered atom comes within.
    """
    side = int(np.ceil((frame.n_atoms + 1) ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)[1:]
    # The first place is the kept atoms' own; theirs is as wide as they are.
    extent = float(np.linalg.norm(frame.positions[list(kept)], axis=1).max()) if kept else 0.0
    places = (distance + extent) * grid[: frame.n_atoms]
    positions = places.astype(np.float64)
    positions[list(kept)] = frame.positions[list(kept)]
    return frame.relabelled(positions=positions)


def _room(tried: FloatArray, taken: FloatArray) -> FloatArray:
    distances = np.linalg.norm(tried[:, None] - taken[None], axis=2)
    return np.asarray(distances.min(axis=1) if taken.shape[0] > 1 else distances[:, 0])
