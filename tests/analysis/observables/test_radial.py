"""g(r) of points without order is one, and of a lattice is not."""

from collections.abc import Callable
from pathlib import Path

import mdtraj
import numpy as np
import pytest

from fisher_mlip.analysis import read_run
from fisher_mlip.analysis.observables import RadialFunctions, radial_distance, radial_of
from fisher_mlip.errors import InputError

MakeRun = Callable[..., Path]


def scattered(make_run: MakeRun, name: str, seed: int, shells: float = 0.0) -> RadialFunctions:
    """Waters at random places of a box; or with a share of them next to another."""
    folder = make_run(name, molecules=40, cell=1.6, frames=20)
    (folder / "molecules.csv").unlink()
    generator = np.random.default_rng(seed)
    trajectory = mdtraj.load(str(folder / "trajectory.dcd"), top=str(folder / "topology.pdb"))
    places = generator.uniform(0.0, 1.6, (20, 40, 1, 3))
    directions = generator.normal(size=(20, 20, 1, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    is_near = generator.uniform(size=(20, 20, 1, 1)) < shells
    places[:, 20:] = np.where(is_near, places[:, :20] + 0.3 * directions, places[:, 20:])
    water = np.array([[0.0, 0.0, 0.0], [0.096, 0.0, 0.0], [-0.024, 0.093, 0.0]])
    trajectory.xyz = (places + water).reshape(20, 120, 3) % 1.6
    trajectory.save_dcd(str(folder / "trajectory.dcd"))
    return radial_of(read_run(folder))


def check_without_order(found: RadialFunctions) -> None:
    pair = found.names.index("H-O")
    far = found.edges[1:] > 1.5
    off = (found.mean[pair, far] - 1.0) / found.error[pair, far]
    assert np.abs(off).mean() < 2.0


def test_points_without_order_have_one(make_run: MakeRun) -> None:
    found = scattered(make_run, "random", 0)
    check_without_order(found)
    near = scattered(make_run, "near", 1, shells=0.8)
    with pytest.raises(AssertionError):
        check_without_order(near)
    apart, same = (
        radial_distance(one, found)["O-O"] for one in (near, scattered(make_run, "again", 2))
    )
    assert apart.value > 1.3 * apart.noise
    assert same.value < 1.3 * same.noise
    assert found.reference.functions["O-O"].shape == (60,)


def test_a_gas_is_refused(make_run: MakeRun) -> None:
    with pytest.raises(InputError, match="expected a periodic box"):
        radial_of(read_run(make_run()))
