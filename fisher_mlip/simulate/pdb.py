"""Reads a PDB file as a system; what OpenMM would guess is refused, what it would drop is kept."""

import warnings
from pathlib import Path

import numpy as np
from openmm import unit
from openmm.app import PDBFile, element

from fisher_mlip.errors import InputError
from fisher_mlip.simulate.structures import Structure, read_structure

ATOM_RECORDS = ("ATOM  ", "HETATM")
# Columns of a, b, c in Å and of the angles in degrees.
CRYST1_COLUMNS = ((6, 15), (15, 24), (24, 33), (33, 40), (40, 47), (47, 54))


def read_pdb(path: Path) -> Structure:
    """Return topology, positions and cell of a PDB file's first model.

    Where atoms of a residue share a name, as ASE writes them, OpenMM would drop all but one: the
    atoms are then taken as they stand, without bonds.

    Args:
        path: the file; it is periodic exactly if it has a CRYST1 record.

    Returns:
        The topology; positions (n_atoms, 3), Å; the cell (3, 3), Å, rows are vectors, or None.

    Raises:
        InputError: the file is missing, not PDB, has atoms without a known element or a box
            without volume, or atoms in alternate locations.
    """
    if not path.is_file():
        raise InputError(f"expected a PDB file '{path}', found none")
    n_records = _check_records(path)
    try:
        with path.open() as handle, warnings.catch_warnings():
            # What OpenMM warns of and goes on (atoms of one name) is taken care of below.
            warnings.simplefilter("ignore")
            pdb = PDBFile(handle)
    except Exception as failure:  # OpenMM raises whatever its parser stumbles on
        raise InputError(f"expected a PDB file in '{path}', found: {failure}") from failure
    if pdb.topology.getNumAtoms() != n_records:
        _refuse_alternate_locations(path)
        return read_structure(path)
    vectors = pdb.topology.getPeriodicBoxVectors()
    cell = None if vectors is None else np.array(vectors.value_in_unit(unit.angstrom))
    return pdb.topology, np.array(pdb.getPositions(asNumpy=True) / unit.angstrom), cell


def _check_records(path: Path) -> int:
    """Return the number of atoms in the first model, each with its element, in a real box."""
    atoms = 0
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        if line.startswith("CRYST1"):
            _check_box(path, line)
        if line.startswith("ENDMDL"):
            break
        if line.startswith(ATOM_RECORDS):
            atoms += 1
            # OpenMM guesses from the atom's name where it does not know the symbol.
            if not _is_element(line[76:78].strip()):
                raise InputError(
                    f"expected an element in columns 77-78 of every atom of '{path}', found "
                    f"{line[76:78].strip() or 'none'} in line {number}"
                )
    if atoms == 0:
        raise InputError(f"expected a PDB file with ATOM records in '{path}', found none")
    return atoms


def _refuse_alternate_locations(path: Path) -> None:
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        if line.startswith(ATOM_RECORDS) and line[16].strip():
            raise InputError(
                f"expected one location of each atom in '{path}', found the alternate location "
                f"{line[16]} in line {number}: delete all but one of each atom's"
            )


def _is_element(symbol: str) -> bool:
    try:
        element.get_by_symbol(symbol.capitalize())
    except KeyError:
        return False
    return True


def _check_box(path: Path, cryst1: str) -> None:
    try:
        numbers = [float(cryst1[start:end]) for start, end in CRYST1_COLUMNS]
    except ValueError:
        numbers = []
    found = f"found '{cryst1.strip()}'"
    lengths, angles = np.array(numbers[:3]), np.array(numbers[3:])
    # Written so that a NaN fails.
    if not (len(numbers) == 6 and (lengths > 0).all() and ((angles > 0) & (angles < 180)).all()):
        raise InputError(f"expected a box with a volume in CRYST1 of '{path}', {found}")
    if (lengths == 1.0).all():
        raise InputError(
            f"expected a box in CRYST1 of '{path}', {found}, which is PDB's word for no box: "
            "delete the line, or give the box its lengths"
        )
