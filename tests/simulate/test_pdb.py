"""PDB files: what is read, and what OpenMM would guess or drop and is refused."""

from io import StringIO
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from openmm.app import PDBFile

from fisher_mlip.data.ethanol import ethanol_positions, ethanol_topology
from fisher_mlip.errors import InputError
from fisher_mlip.simulate.pdb import read_pdb


def _text(cell: np.ndarray | None = None) -> str:
    text = StringIO()
    PDBFile.writeFile(ethanol_topology(1, cell), ethanol_positions(), text)
    return text.getvalue()


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_positions_elements_bonds_and_no_cell(tmp_path: Path) -> None:
    topology, positions, cell = read_pdb(_write(tmp_path / "a.pdb", _text()))
    np.testing.assert_allclose(positions, ethanol_positions(), atol=5.1e-4)
    assert [atom.element.atomic_number for atom in topology.atoms()] == [6, 6, 8] + [1] * 6
    assert topology.getNumBonds() == 8
    assert cell is None


def test_cryst1_makes_it_periodic(tmp_path: Path) -> None:
    cell = np.array([[12.0, 0.0, 0.0], [-3.0, 13.0, 0.0], [1.0, 2.0, 14.0]])
    _, _, found = read_pdb(_write(tmp_path / "a.pdb", _text(cell)))
    np.testing.assert_allclose(found, cell, atol=0.02)


def _refused(path: Path, match: str) -> None:
    with pytest.raises(InputError, match=match):
        read_pdb(path)


def test_refusals(tmp_path: Path) -> None:
    text = _text(np.diag([12.0, 13.0, 14.0]))
    path = tmp_path / "a.pdb"
    _refused(path, "found none")
    no_elements = "\n".join(line[:76] for line in text.splitlines())
    _refused(_write(path, no_elements), "element in columns 77-78 .* line 3")
    lines = text.splitlines(keepends=True)
    twice = next(line for line in lines if " H11 " in line)
    twice = twice.replace(" H11 ", " H11A") + twice.replace(" H11 ", " H11B")
    both = "".join(twice if " H11 " in line else line for line in lines if line[:6] != "CONECT")
    _refused(_write(path, both), "found the alternate location A in line")
    for symbol in ("Xx", "EP"):
        odd = "\n".join(f"{line[:76]}{symbol:>2}" for line in text.splitlines())
        _refused(_write(path, odd), f"element in columns 77-78 .* found {symbol} in line 3")
    for old, new in (("12.000", " 0.000"), ("12.000", "   nan"), ("90.00 P", " 0.00 P")):
        _refused(_write(path, text.replace(old, new)), "box with a volume")
    cryst1 = "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1"
    no_box = [cryst1 if line.startswith("CRYST1") else line for line in text.splitlines()]
    _refused(_write(path, "\n".join(no_box)), "PDB's word for no box")
    _refused(_write(path, "hello\n"), "ATOM records")
    _refused(_write(path, text.replace("  -0.", "  -x.")), "expected a PDB file in")


def test_atoms_of_one_name_are_taken_as_they_stand(tmp_path: Path) -> None:
    """ASE calls every atom of an element the same; OpenMM keeps one of each."""
    atoms = Atoms("C2OH6", positions=ethanol_positions(), cell=np.diag([12.0, 13.0, 14.0]))
    for pbc in (False, True):
        atoms.pbc = pbc
        ase.io.write(tmp_path / "a.pdb", atoms)
        topology, positions, cell = read_pdb(tmp_path / "a.pdb")
        np.testing.assert_allclose(positions, ethanol_positions(), atol=5.1e-4)
        assert [atom.element.atomic_number for atom in topology.atoms()] == [6, 6, 8] + [1] * 6
        assert len({atom.name for atom in topology.atoms()}) == 9
        assert (cell is not None) is pbc
        if cell is not None:
            np.testing.assert_allclose(cell, atoms.cell, atol=1e-3)
