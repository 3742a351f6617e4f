"""Reads a PDB file as a system, refusing what OpenMM would guess or leave out."""

import warnings
from pathlib import Path

import numpy as np
from openmm import unit
from openmm.app import PDBFile, Topology

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError

ATOM_RECORDS = ("ATOM  ", "HETATM")


def read_pdb(path: Path) -> tuple[Topology, FloatArray, FloatArray | None]:
    """Return topology, positions and cell of a PDB file's first model.

    Args:
        path: the file; it is periodic exactly if it has a CRYST1 record.

    Returns:
        The topology; positions (n_atoms, 3), Å; the cell (3, 3), Å, rows are vectors, or None.

    Raises:
        InputError: the file is missing, not PDB, has atoms without element or a box without
            volume, or OpenMM would drop some of its atoms.
    """
    if not path.is_file():
        raise InputError(f"expected a PDB file '{path}', found none")
    n_records = _check_records(path)
    try:
        with path.open() as handle, warnings.catch_warnings():
            # What OpenMM warns of and goes on (atoms of one name) is refused below.
            warnings.simplefilter("ignore")
            pdb = PDBFile(handle)
    except Exception as failure:  # OpenMM raises whatever its parser stumbles on
        raise InputError(f"expected a PDB file in '{path}', found: {failure}") from failure
    if pdb.topology.getNumAtoms() != n_records:
        raise InputError(
            f"expected different names for the atoms of a residue and no alternate locations in "
            f"'{path}', found {n_records} atoms of which OpenMM keeps {pdb.topology.getNumAtoms()}"
        )
    vectors = pdb.topology.getPeriodicBoxVectors()
    cell = None if vectors is None else np.array(vectors.value_in_unit(unit.angstrom))
    return pdb.topology, np.array(pdb.getPositions(asNumpy=True) / unit.angstrom), cell


def _check_records(path: Path) -> int:
    """Return the number of atoms in the first model, each with its element, in a real box."""
    atoms = 0
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        if line.startswith("CRYST1") and _has_no_length(line):
            raise InputError(
                f"expected a box with a volume in CRYST1 of '{path}', found '{line.strip()}'"
            )
        if line.startswith("ENDMDL"):
            break
        if line.startswith(ATOM_RECORDS):
            atoms += 1
            if not line[76:78].strip():
                raise InputError(
                    f"expected an element in columns 77-78 of every atom of '{path}', found none "
                    f"in line {number}"
                )
    if atoms == 0:
        raise InputError(f"expected a PDB file with ATOM records in '{path}', found none")
    return atoms


def _has_no_length(cryst1: str) -> bool:
    try:
        return any(float(cryst1[start : start + 9]) <= 0.0 for start in (6, 15, 24))
    except ValueError:
        return True
