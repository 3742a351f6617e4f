"""Waters whose lengths and angles are known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.analysis import read_run
from fisher_mlip.analysis.observables import Geometry, geometry_distance, geometry_of
from fisher_mlip.analysis.observables.geometry import angles_of

MakeRun = Callable[..., Path]


def check_water(found: Geometry) -> None:
    assert found.bonds["H-O"].mean == pytest.approx(0.96, abs=0.01)
    expected = np.degrees(np.arccos(-0.024 / np.hypot(0.024, 0.093)))
    assert found.angles["H-O-H"].mean == pytest.approx(expected, abs=0.3)
    middle = (found.distances.edges[1:] + found.distances.edges[:-1]) / 2.0
    mean = (found.distances.density * np.diff(found.distances.edges)) @ middle
    assert mean == pytest.approx((0.96 + 0.96 + 1.52) / 3.0, abs=0.02)


def test_waters_are_measured_also_across_the_boundary(make_run: MakeRun) -> None:
    check_water(geometry_of(read_run(make_run("gas"))))
    wrapped = read_run(make_run("box", cell=7.0, shift=(-0.05, -0.03, 0.0)))
    (wrapped.path / "molecules.csv").unlink()
    found = geometry_of(read_run(wrapped.path))
    check_water(found)
    assert found.distances.source == "blocks of time"
    assert found.n_frames == 20
    stretched = geometry_of(read_run(make_run("off", breaks=dict.fromkeys(range(8), 0))))
    with pytest.raises(AssertionError):
        check_water(stretched)


def test_a_stretched_bond_is_its_distance(make_run: MakeRun) -> None:
    reference = geometry_of(read_run(make_run("reference")))
    same = geometry_distance(geometry_of(read_run(make_run("same", seed=1))), reference)
    # One of two O-H bonds is 0.2 Å longer in every molecule.
    longer = make_run("longer", breaks=dict.fromkeys(range(8), 0), stretch=0.02, seed=1)
    apart = geometry_distance(geometry_of(read_run(longer)), reference)
    assert apart.bonds["H-O"].value == pytest.approx(0.1, abs=0.005)
    assert apart.distances.value > 3.0 * apart.distances.noise
    assert same.bonds["H-O"].value < 0.01
    assert same.distances.value < 3.0 * same.distances.noise


def test_angles_share_their_middle_atom() -> None:
    bonds = np.array([[0, 1], [1, 2], [1, 3]])
    assert angles_of(bonds).tolist() == [[0, 1, 2], [0, 1, 3], [2, 1, 3]]
    assert angles_of(bonds[:1]).shape == (0, 3)
