"""The least energy of any reference: its terms by hand, and through boundaries."""

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.fisher.outside.connectivity import Connectivity
from fisher_mlip.fisher.outside.ranges import Ranges, Span
from fisher_mlip.fisher.outside.starts import Start
from fisher_mlip.fisher.outside.valence import ANGLE_STIFFNESS, DEPTH, WIDTH, ValenceField
from fisher_mlip.model.repulsion import COULOMB

NUMBERS = np.array([8, 1, 1])
WATER = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
SEEN = Ranges({(1, 8): Span(0.9, 0.95, 1.0, 48.0)}, {(8, 1, 1): Span(1.7, 1.85, 2.0, 4.5)}, {})


def start(frame: Frame) -> Start:
    return Start(frame, Connectivity.of(frame), np.ones(frame.n_atoms, dtype=bool))


def energy(positions: FloatArray, seen: Ranges = SEEN) -> float:
    return float(ValenceField(start(Frame(NUMBERS, WATER)), seen).energies(positions[None])[0])


def by_hand(positions: FloatArray, depth: float, stiffness: float, bending: float) -> float:
    """A Morse bond that is harmonic inward, twice, and the angle between them."""
    arms = positions[1:] - positions[0]
    lengths = np.linalg.norm(arms, axis=1)
    width = np.sqrt(stiffness / (2.0 * depth))
    total = 0.0
    for x in lengths - 0.95:
        total += depth * (1.0 - np.exp(-width * x)) ** 2 if x > 0 else 0.5 * stiffness * x * x
    angle = np.arccos(arms[0] @ arms[1] / lengths.prod())
    return float(total + 0.5 * bending * (angle - 1.85) ** 2)


@pytest.mark.parametrize("seed", range(4))
def test_bonds_and_angles_are_those_of_the_frames(seed: int) -> None:
    positions = WATER + 0.25 * np.random.default_rng(seed).normal(size=WATER.shape)
    assert energy(positions) == pytest.approx(by_hand(positions, DEPTH, 48.0, 4.5), rel=1e-12)
    assert energy(positions) != pytest.approx(by_hand(positions, DEPTH, 40.0, 4.5), rel=1e-3)


def test_a_soft_bond_is_shallow_and_what_is_not_told_is_chemistrys() -> None:
    far = WATER * np.array([[1.0], [1.9], [1.0]])
    soft = Ranges({(1, 8): Span(0.9, 0.95, 1.0, 10.0)}, {(8, 1, 1): Span(1.7, 1.85, 2.0, 4.5)}, {})
    depth = 10.0 / (2.0 * WIDTH**2)
    assert depth < 1.5
    assert energy(far, soft) == pytest.approx(by_hand(far, depth, 10.0, 4.5))
    silent = Ranges({(1, 8): Span(0.9, 0.95, 1.0)}, {(8, 1, 1): Span(1.7, 1.85, 2.0)}, {})
    expected = by_hand(far, DEPTH, 2.0 * DEPTH * WIDTH**2, ANGLE_STIFFNESS)
    assert energy(far, silent) == pytest.approx(expected)
    assert energy(far, Ranges({}, {}, {})) == 0.0


def test_atoms_that_are_not_bonded_meet_as_screened_nuclei() -> None:
    """Two hydrogens of two molecules, by the formula of Ziegler, Biersack and Littmark."""
    apart = np.array([[0.0, 0, 0], [0.74, 0, 0], [0.0, 3.0, 0], [0.74, 3.0, 0]])
    frame = Frame(np.array([1, 1, 1, 1]), apart)
    field = ValenceField(start(frame), Ranges({}, {}, {}))
    near = apart.copy()
    near[2:, 1] = 1.2
    i, j = np.array([0, 0, 1, 1]), np.array([2, 3, 2, 3])
    r = np.linalg.norm(near[i] - near[j], axis=1)
    x = r * 2.0 / 0.46850
    weights = np.array([0.18175, 0.50986, 0.28022, 0.02817])
    decays = np.array([3.19980, 0.94229, 0.40290, 0.20162])
    expected = (COULOMB / r * (weights * np.exp(-np.outer(x, decays))).sum(axis=1)).sum()
    assert float(field.energies(near[None])[0]) == pytest.approx(expected, rel=1e-6)


def test_a_molecule_cut_by_a_boundary_is_the_same_one() -> None:
    cell, pbc = np.diag([9.0, 9.5, 10.0]), np.ones(3, dtype=bool)
    wrapped = Frame(NUMBERS, WATER % np.diag(cell), cell, pbc)
    assert np.abs(wrapped.positions - WATER).max() > 5.0
    moved = 0.2 * np.random.default_rng(1).normal(size=WATER.shape)
    field = ValenceField(start(wrapped), SEEN)
    found = float(field.energies((wrapped.positions + moved)[None])[0])
    assert found == pytest.approx(energy(WATER + moved), rel=1e-12)
