"""One configuration -> a topology, with bonds by distance where its file names none."""

from pathlib import Path

import numpy as np
from openmm.app import Topology, element

from fisher_mlip.data import Frame
from fisher_mlip.data.ase_frames import read_ase_frames
from fisher_mlip.data.bonds import BOND_REACH, bonds_by_distance
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError

Structure = tuple[Topology, FloatArray, FloatArray | None]

# So that element and number fit the four columns of a PDB name and differ within a residue.
_ATOMS_PER_RESIDUE = 99


def read_structure(path: Path) -> Structure:
    """Return the one configuration of a file that ASE reads, its atoms in the file's order.

    Returns:
        The topology, without bonds and box; positions (n_atoms, 3), Å; the cell (3, 3), Å, or None.

    Raises:
        InputError: no such file, more than one configuration, or one that is partly periodic.
    """
    if not path.is_file():
        raise InputError(f"expected a file '{path}', found none")
    frames = read_ase_frames(path)
    if len(frames) != 1:
        raise InputError(f"expected one configuration in '{path}', found {len(frames)}")
    frame = frames[0]
    if not frame.n_atoms or not frame.atomic_numbers.all():
        raise InputError(f"expected atoms of known elements in '{path}', found others or none")
    if frame.pbc.any() != frame.pbc.all():
        raise InputError(
            f"expected a system periodic in all directions or in none in '{path}', found pbc "
            f"{frame.pbc.tolist()}"
        )
    return topology_of(frame), frame.positions, frame.cell if frame.is_periodic else None


def frame_of(topology: Topology, positions: FloatArray, cell: FloatArray | None) -> Frame:
    """Return the configuration of a structure as a frame without labels."""
    numbers = np.array([atom.element.atomic_number for atom in topology.atoms()], dtype=np.int64)
    box = np.zeros((3, 3)) if cell is None else cell
    return Frame(numbers, positions, box, np.full(3, cell is not None))


def add_missing_bonds(topology: Topology, frame: Frame) -> str:
    """Add bonds by distance to atoms that have none, and return what was done, "" for nothing.

    Args:
        topology: gets the bonds.
        frame: its configuration.
    """
    atoms = list(topology.atoms())
    is_bonded = np.zeros(len(atoms), dtype=bool)
    for bond in topology.bonds():
        is_bonded[[bond.atom1.index, bond.atom2.index]] = True
    found = bonds_by_distance(frame)
    missing = found[~is_bonded[found].all(axis=1)]
    for first, second in missing:
        topology.addBond(atoms[first], atoms[second])
    if not len(missing):
        return ""
    return (
        f"{len(missing)} bonds, named by no record, were taken from distances (nonmetals closer "
        f"than {BOND_REACH:g} times their covalent radii): they are watched by `analyze`"
    )


def topology_of(frame: Frame) -> Topology:
    """Return a frame's atoms as a topology without bonds and box, in their order."""
    topology = Topology()
    chain = topology.addChain()
    for index, number in enumerate(frame.atomic_numbers):
        place = index % _ATOMS_PER_RESIDUE
        if place == 0:
            residue = topology.addResidue("MOL", chain)
        kind = element.Element.getByAtomicNumber(int(number))
        topology.addAtom(f"{kind.symbol}{place + 1}", kind, residue)
    return topology
