"""Ethanol: one molecule's geometry, its bonds, and OpenMM topologies of many molecules.

Atom order everywhere is that of the (r)MD17 sets: 0 C of CH2OH, 1 C of CH3, 2 O, 3-4 H of CH2,
5-7 H of CH3, 8 H of OH (read off the distances in the rMD17 frames).
"""

from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_masses

from fisher_mlip.data.frames import BoolArray, FloatArray, IntArray
from fisher_mlip.errors import InputError

FORCE_FIELD_PATH = Path(__file__).with_name("oplsaa_ethanol.xml")

ATOM_NAMES = ("C1", "C2", "O", "H11", "H12", "H21", "H22", "H23", "HO")
ATOMIC_NUMBERS: IntArray = np.array([6, 6, 8, 1, 1, 1, 1, 1, 1], dtype=np.int64)
BONDS = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (1, 6), (1, 7), (2, 8))
ATOMS_PER_MOLECULE = len(ATOMIC_NUMBERS)
MOLAR_MASS_AMU = float(atomic_masses[ATOMIC_NUMBERS].sum())
DENSITY_298K_G_CM3 = 0.789

_ALL_PERIODIC: BoolArray = np.ones(3, dtype=bool)
# Longest distance at which a hydrogen is taken to sit on a carbon or oxygen, Å.
_BOUND_HYDROGEN = 1.3


def ethanol_positions(hydroxyl_torsion: float = np.pi) -> FloatArray:
    """Return one molecule's positions with standard bond lengths and angles.

    Args:
        hydroxyl_torsion: torsion C2-C1-O-H, radian; pi is trans, +-pi/3 gauche.

    Returns:
        (9, 3), Å, centered at the origin.
    """
    tetrahedral = np.radians(109.5)
    positions = np.zeros((ATOMS_PER_MOLECULE, 3))
    positions[1] = (1.529, 0.0, 0.0)
    # bonded to, angle with, torsion with: three known atoms place the fourth.
    positions[2] = 1.41 * np.array([np.cos(tetrahedral), np.sin(tetrahedral), 0.0])
    third = 2 * np.pi / 3
    placements = [
        (3, 0, 1, 2, 1.09, third, True),
        (4, 0, 1, 2, 1.09, -third, True),
        (5, 1, 0, 2, 1.09, np.pi, False),
        (6, 1, 0, 2, 1.09, np.pi / 3, False),
        (7, 1, 0, 2, 1.09, -np.pi / 3, False),
        (8, 2, 0, 1, 0.945, hydroxyl_torsion, False),
    ]
    for atom, center, neighbor, reference, length, torsion, same_center in placements:
        axis = _unit(positions[neighbor] - positions[center])
        across = positions[reference] - positions[center if same_center else neighbor]
        across = _unit(across - axis * (across @ axis))
        turned = np.cos(torsion) * across + np.sin(torsion) * np.cross(axis, across)
        direction = np.cos(tetrahedral) * axis + np.sin(tetrahedral) * turned
        positions[atom] = positions[center] + length * direction
    return np.asarray(positions - positions.mean(axis=0))


def ethanol_numbers(molecules: int) -> IntArray:
    """Return the atomic numbers of `molecules` molecules, (9 * molecules,)."""
    return np.tile(ATOMIC_NUMBERS, molecules)


def ethanol_topology(molecules: int, cell: FloatArray | None = None) -> Any:
    """Return an `openmm.app.Topology`: a residue ETH per molecule, with bonds.

    Args:
        molecules: how many.
        cell: (3, 3), Å, rows are vectors; None for no periodic box.
    """
    from openmm import Vec3, app, unit

    topology = app.Topology()
    chain = topology.addChain()
    elements = [app.Element.getByAtomicNumber(int(number)) for number in ATOMIC_NUMBERS]
    for _ in range(molecules):
        residue = topology.addResidue("ETH", chain)
        atoms = [
            topology.addAtom(name, element, residue)
            for name, element in zip(ATOM_NAMES, elements, strict=True)
        ]
        for first, second in BONDS:
            topology.addBond(atoms[first], atoms[second])
    if cell is not None:
        vectors = [Vec3(*row) for row in np.asarray(cell) / 10.0]
        topology.setPeriodicBoxVectors(vectors * unit.nanometer)
    return topology


def count_molecules(atomic_numbers: IntArray) -> int:
    """Return how many molecules `atomic_numbers` holds in the order C C O H H H H H H.

    Raises:
        InputError: the atoms are not whole ethanol molecules in that order.
    """
    molecules, rest = divmod(len(atomic_numbers), ATOMS_PER_MOLECULE)
    if molecules == 0 or rest or not np.array_equal(atomic_numbers, ethanol_numbers(molecules)):
        found = " ".join(str(int(number)) for number in atomic_numbers[:ATOMS_PER_MOLECULE])
        raise InputError(
            "expected ethanol molecules with atoms in the order C C O H H H H H H, found "
            f"{len(atomic_numbers)} atoms beginning with atomic numbers {found}"
        )
    return molecules


def whole_molecules(
    positions: FloatArray, cell: FloatArray, pbc: BoolArray = _ALL_PERIODIC
) -> FloatArray:
    """Return `positions` with each molecule made whole across the periodic boundary.

    Args:
        positions: (9 * molecules, 3), Å, possibly wrapped.
        cell: (3, 3), Å, rows are vectors; with a volume.
        pbc: (3,), the directions that are periodic.

    Returns:
        (9 * molecules, 3), Å; the first carbon of each molecule stays where it is.
    """
    whole = positions.reshape(-1, ATOMS_PER_MOLECULE, 3).copy()
    inverse = np.linalg.inv(cell)
    for first, second in BONDS:
        images = np.round((whole[:, second] - whole[:, first]) @ inverse) * pbc
        whole[:, second] -= images @ cell
    return whole.reshape(-1, 3)


def check_hydrogens(positions: FloatArray) -> None:
    """Check that each hydrogen sits on the atom that the order says.

    Args:
        positions: (9 * molecules, 3), Å, whole molecules.

    Raises:
        InputError: a hydrogen is bound to another carbon or oxygen of its molecule.
    """
    molecules = positions.reshape(-1, ATOMS_PER_MOLECULE, 3)
    distances = np.linalg.norm(molecules[:, 3:, None] - molecules[:, None, :3], axis=-1)
    nearest = distances.argmin(axis=-1)
    expected = np.array([0, 0, 1, 1, 1, 2])
    wrong = (nearest != expected) & (distances.min(axis=-1) < _BOUND_HYDROGEN)
    if wrong.any():
        molecule, hydrogen = np.argwhere(wrong)[0]
        raise InputError(
            "expected after C(H2) C(H3) O the hydrogens of CH2, CH2, CH3, CH3, CH3, OH, found "
            f"hydrogen {hydrogen + 3} of molecule {molecule} bound to atom "
            f"{nearest[molecule, hydrogen]}"
        )


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / np.linalg.norm(vector))
