"""Boxes that OpenMM can take, and systems by name."""

from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.errors import InputError
from fisher_mlip.simulate.systems import build_molecular_system, check_box

from .conftest import MakeConfig


def test_box_in_reduced_form() -> None:
    cell = np.array([[10.0, 0.0, 0.0], [-5.0, 10.0, 0.0], [5.0, -5.0, 10.0]])
    assert check_box(cell) is cell


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        (np.zeros((3, 3)), "with a volume"),
        (np.diag([10.0, 10.0, np.nan]), "with a volume"),
        (np.diag([10.0, -10.0, 10.0]), "with a volume"),
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
