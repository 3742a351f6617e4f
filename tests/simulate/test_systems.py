"""Boxes that OpenMM can take, and systems by name."""

from io import StringIO
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from openmm import unit
from openmm.app import PDBFile

from fisher_mlip.data.ethanol import ethanol_positions, ethanol_topology
from fisher_mlip.errors import InputError
from fisher_mlip.simulate.gas import ethanol_gas_positions
from fisher_mlip.simulate.systems import MolecularSystem, build_molecular_system, check_box

from .conftest import MakeConfig


def test_box_in_reduced_form() -> None:
    cell = np.array([[10.0, 0.0, 0.0], [-5.0, 10.0, 0.0], [5.0, -5.0, 10.0]])
    assert check_box(cell) is cell


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        (np.zeros((3, 3)), "with a volume"),
        (np.diag([10.0, 10.0, np.nan]), "with a volume"),
        (np.diag([10.0, -10.0, 10.0]), "lower triangle"),
        (
            np.array([[6.0, 8.0, 0.0], [-8.0, 6.0, 0.0], [0.0, 0.0, 10.0]]),
            "its atoms together",
        ),
        (np.roll(np.eye(3), 1, axis=0) * 10.0, "its atoms together"),
        (np.array([[10.0, 1.0, 0.0], [0.0, 10.0, 0.0], [0.0, 0.0, 10.0]]), "reduced form"),
        (np.array([[10.0, 0.0, 0.0], [6.0, 10.0, 0.0], [0.0, 0.0, 10.0]]), "reduced form"),
    ],
)
def test_boxes_that_are_refused(cell: np.ndarray, match: str) -> None:
    with pytest.raises(InputError, match=match):
        check_box(cell)


def test_unknown_systems_are_refused(short: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected system ethanol-gas"):
        build_molecular_system(short(system="water"), 3.0)
    with pytest.raises(InputError, match="start_frames are for ethanol-gas"):
        build_molecular_system(short(system="a.pdb", start_frames="b.xyz"), 3.0)
    with pytest.raises(InputError, match="expected a PDB file"):
        build_molecular_system(short(system=str(tmp_path / "absent.pdb")), 3.0)


def _bonds(system: MolecularSystem) -> list[tuple[int, int]]:
    return sorted((b.atom1.index, b.atom2.index) for b in system.topology.bonds())


def test_a_pdb_without_bonds_gets_them_by_distance(short: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "a.pdb"
    text = StringIO()
    PDBFile.writeFile(ethanol_topology(2), ethanol_gas_positions(2, spacing=5.0, seed=0), text)
    path.write_text(text.getvalue())
    named = build_molecular_system(short(system=str(path)), 3.0)
    assert named.note == ""
    lines = text.getvalue().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("CONECT")))
    found = build_molecular_system(short(system=str(path)), 3.0)
    assert _bonds(found) == _bonds(named)
    assert len(_bonds(found)) == 16
    assert found.note.startswith("16 bonds, named by no record")
    assert found.molecules.tolist() == [0] * 9 + [1] * 9


def test_an_extended_xyz_is_a_system(short: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    atoms = Atoms("C2OH6", positions=ethanol_positions(), cell=np.diag([9.0, 10.0, 11.0]))
    for pbc in (False, True):
        atoms.pbc = pbc
        ase.io.write(path, atoms)
        system = build_molecular_system(short(system=str(path)), 3.0)
        assert _bonds(system) == sorted(_bonds_of_ethanol())
        assert system.is_periodic is pbc
        np.testing.assert_allclose(system.positions, ethanol_positions(), atol=1e-7)
    vectors = system.topology.getPeriodicBoxVectors().value_in_unit(unit.angstrom)
    np.testing.assert_allclose(np.array(vectors), atoms.cell, atol=1e-12)


def test_structures_that_are_refused(short: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    config = short(system=str(path))
    with pytest.raises(InputError, match="expected a file"):
        build_molecular_system(config, 3.0)
    atoms = Atoms("C2OH6", positions=ethanol_positions(), cell=np.eye(3) * 9, pbc=[1, 1, 0])
    ase.io.write(path, atoms)
    with pytest.raises(InputError, match="periodic in all directions or in none"):
        build_molecular_system(config, 3.0)
    atoms.pbc = True
    ase.io.write(path, [atoms, atoms])
    with pytest.raises(InputError, match=r"expected one configuration .* found 2"):
        build_molecular_system(config, 3.0)
    atoms.rotate(20, "z", rotate_cell=True)
    ase.io.write(path, atoms)
    with pytest.raises(InputError, match="reduced form"):
        build_molecular_system(config, 3.0)
    atoms.symbols[0] = "X"
    ase.io.write(path, atoms)
    with pytest.raises(InputError, match="known elements"):
        build_molecular_system(config, 3.0)


@pytest.mark.parametrize(
    ("factor", "told"),
    [(0.1, "look like nm"), (1.8897261, "look like Bohr"), (np.nan, "finite numbers .* found NaN")],
)
def test_a_file_in_another_unit_is_refused(
    factor: float, told: str, short: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "a.xyz"
    ase.io.write(path, Atoms("C2OH6", positions=ethanol_positions() * factor))
    with pytest.raises(InputError, match=told):
        build_molecular_system(short(system=str(path)), 3.0)
    if np.isfinite(factor) and factor > 1.0:
        trusted = build_molecular_system(short(system=str(path), trust_units=True), 3.0)
        assert len(trusted.positions) == 9


def _bonds_of_ethanol() -> list[tuple[int, int]]:
    return [(b.atom1.index, b.atom2.index) for b in ethanol_topology(1).bonds()]


def test_liquid_has_the_density_of_ethanol(
    short: MakeConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    system = build_molecular_system(short(system="ethanol-liquid", molecules=16), 3.0)
    shown = capfd.readouterr()
    assert "equilibrating" in shown.err
    assert shown.out == ""
    assert system.cell is not None
    assert not system.independent_molecules
    grams = 16 * 46.069 / 6.02214076e23
    assert grams / (np.linalg.det(system.cell) * 1e-24) == pytest.approx(0.789, rel=1e-3)
    assert not system.isolated_groups.any()
