"""Bonds found by distance are those of chemistry."""

import numpy as np

from fisher_mlip.data import Frame
from fisher_mlip.data.bonds import bonds_by_distance
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions, ethanol_topology


def ethanol_bonds() -> list[list[int]]:
    bonds = ethanol_topology(1).bonds()
    return sorted(sorted([bond.atom1.index, bond.atom2.index]) for bond in bonds)


def test_bonds_of_ethanol_are_those_of_its_topology() -> None:
    found = bonds_by_distance(Frame(ATOMIC_NUMBERS, ethanol_positions()))
    assert found.tolist() == ethanol_bonds()
    stretched = bonds_by_distance(Frame(ATOMIC_NUMBERS, 1.35 * ethanol_positions()))
    assert stretched.tolist() != ethanol_bonds()


def test_bonds_reach_across_a_boundary() -> None:
    cell = np.diag([8.0, 8.0, 8.0])
    wrapped = (ethanol_positions() - ethanol_positions().mean(axis=0)) % 8.0
    assert np.ptp(wrapped, axis=0).max() > 6.0, "the molecule must lie across the boundary"
    frame = Frame(ATOMIC_NUMBERS, wrapped, cell=cell, pbc=np.ones(3, dtype=bool))
    assert bonds_by_distance(frame).tolist() == ethanol_bonds()


def test_metals_and_lonely_atoms_have_none() -> None:
    salt = Frame(np.array([11, 17]), np.array([[0.0, 0.0, 0.0], [2.4, 0.0, 0.0]]))
    assert bonds_by_distance(salt).shape == (0, 2)
    assert bonds_by_distance(Frame(np.array([18]), np.zeros((1, 3)))).shape == (0, 2)
