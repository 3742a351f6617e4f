"""Bonds and fragments: a chain, a ring, and through a boundary."""

import numpy as np
import pytest

from fisher_mlip.data.frames import Frame
from fisher_mlip.fisher.outside.connectivity import Connectivity
from fisher_mlip.testing import ethanol

ETHANOL = Frame(*ethanol())
# C of CH2, C of CH3, O, two H of CH2, three of CH3, H of OH.
BONDS = {(0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (1, 6), (1, 7), (2, 8)}


def ring(n_atoms: int = 6) -> Frame:
    """Carbons 1.4 Å apart on a circle, one hydrogen outward from the first."""
    angles = 2 * np.pi * np.arange(n_atoms) / n_atoms
    radius = 0.7 / np.sin(np.pi / n_atoms)
    positions = radius * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    positions = np.concatenate([positions, positions[:1] * (radius + 1.1) / radius])
    return Frame(np.array([6] * n_atoms + [1]), positions)


def bonds_of(frame: Frame) -> set[tuple[int, int]]:
    found = Connectivity.of(frame)
    return set(zip(found.i.tolist(), found.j.tolist(), strict=True))


def sides(frame: Frame) -> dict[tuple[int, int], set[int]]:
    found = Connectivity.of(frame)
    pairs = zip(found.i.tolist(), found.j.tolist(), strict=True)
    return {pair: set(found.side_of(k).tolist()) for k, pair in enumerate(pairs)}


def test_ethanol_has_its_bonds() -> None:
    assert bonds_of(ETHANOL) == BONDS
    far = ETHANOL.positions.copy()
    far[8] += np.array([0.9, 0.5, 0.0])
    assert bonds_of(Frame(ETHANOL.atomic_numbers, far)) == BONDS - {(2, 8)}


def test_ethanol_falls_into_its_fragments() -> None:
    expected = {pair: {pair[1]} for pair in BONDS} | {(0, 1): {1, 5, 6, 7}, (0, 2): {2, 8}}
    assert sides(ETHANOL) == expected


def test_pairs_within_two_bonds() -> None:
    near = Connectivity.of(ETHANOL).within_two_bonds()
    assert {(2, 8), (8, 2), (3, 4), (0, 8), (1, 2)} < near
    assert not {(8, 5), (5, 8), (8, 1), (2, 6)} & near
    two = np.concatenate([ETHANOL.positions, ETHANOL.positions + 8.0])
    both = Connectivity.of(Frame(np.tile(ETHANOL.atomic_numbers, 2), two))
    assert not any(i // 9 != j // 9 for i, j in both.within_two_bonds())
    assert both.molecules().tolist() == [0] * 9 + [1] * 9


def test_in_a_ring_the_end_moves_alone() -> None:
    found = sides(ring())
    assert len(found) == 7
    assert found.pop((0, 6)) == {6}
    assert all(side == {j} for (_, j), side in found.items())


@pytest.mark.parametrize("wrapped", [False, True])
def test_bonds_reach_through_a_boundary(wrapped: bool) -> None:
    cell = np.array([[6.0, 0.0, 0.0], [1.0, 6.5, 0.0], [-0.5, 0.4, 7.0]])
    positions = ETHANOL.positions + np.array([0.2, -0.3, 0.1])
    if wrapped:
        positions = (positions @ np.linalg.inv(cell) % 1.0) @ cell
    frame = Frame(ETHANOL.atomic_numbers, positions, cell, np.ones(3, dtype=bool))
    assert bonds_of(frame) == BONDS
    found = Connectivity.of(frame)
    open_lengths = Connectivity.of(ETHANOL).lengths
    np.testing.assert_allclose(np.sort(found.lengths), np.sort(open_lengths), atol=1e-12)
    from_oxygen = ETHANOL.positions - ETHANOL.positions[2]
    np.testing.assert_allclose(found.vectors_from(2), from_oxygen, atol=1e-12)
    assert sides(frame)[0, 1] == {1, 5, 6, 7}
    cut = Frame(ETHANOL.atomic_numbers, positions)
    assert (bonds_of(cut) == BONDS) is not wrapped


def test_an_atom_has_no_bonds() -> None:
    found = Connectivity.of(Frame(np.array([8]), np.zeros((1, 3))))
    assert len(found.i) == 0
    assert found.molecules().tolist() == [0]
