"""Observables against hand counts, and g(r) against the watch's own."""

import numpy as np
import pytest

from fisher_mlip.analysis.observables.geometry import pairs_within
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, BONDS, ethanol_positions
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.stable.configurations import Configurations
from fisher_mlip.stable.observables import (
    BondMoment,
    DistanceDistribution,
    whole,
)
from fisher_mlip.stable.radial import RadialDistribution
from openmm_plugin.watch.radial import PairCounter


def boxes(n_molecules: int, n: int, side: float = 14.0) -> Configurations:
    """Return ethanols at random places of a slightly triclinic box, wrapped."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(0.0, side, size=(n, n_molecules, 1, 3))
    noise = rng.normal(0.0, 0.05, size=(n, n_molecules, 9, 3))
    positions = (ethanol_positions() + centers + noise).reshape(n, -1, 3)
    cell = np.array([[side, 0.0, 0.0], [1.0, side, 0.0], [0.0, 0.5, side]])
    fractions = positions @ np.linalg.inv(cell)
    bonds = np.concatenate([np.array(BONDS) + 9 * k for k in range(n_molecules)])
    return Configurations(
        np.tile(ATOMIC_NUMBERS, n_molecules),
        bonds,
        (fractions - np.floor(fractions)) @ cell,
        np.repeat(cell[None], n, axis=0),
        np.zeros(n, dtype=np.int64),
    )


def molecule(of: Configurations, k: int) -> FloatArray:
    """Return one molecule's positions, made whole, (n, 9, 3)."""
    assert of.cells is not None
    own = of.positions[:, 9 * k : 9 * k + 9]
    off = own - own[:, :1]
    return own[:, :1] + off - np.round(off @ np.linalg.inv(of.cells)) @ of.cells


def test_h_of_r_is_a_density_of_all_distances() -> None:
    of = boxes(3, 4)
    observable = DistanceDistribution(of)
    parts = observable.by_molecule(of.positions, of.cells)
    assert parts.shape == (4, 3, observable.size)
    np.testing.assert_allclose(np.trapezoid(parts, observable.grid, axis=2), 1.0, atol=1e-3)
    first, second = np.triu_indices(9, k=1)
    alone = molecule(of, 1)
    lengths = np.linalg.norm(alone[:, first] - alone[:, second], axis=2)
    off = (lengths[:, :, None] - observable.grid) / 0.05
    expected = (np.exp(-0.5 * off**2) / (0.05 * np.sqrt(2.0 * np.pi))).mean(axis=1)
    np.testing.assert_allclose(parts[:, 1], expected, atol=1e-10)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(parts[:, 0], expected, atol=1e-3)


def test_bonds_are_averaged_by_their_elements() -> None:
    of = boxes(3, 5)
    mean, variance = BondMoment(of, 1), BondMoment(of, 2)
    assert mean.kinds.tolist() == ["C-C", "C-H", "C-O", "H-O"]
    alone = [molecule(of, k) for k in range(3)]
    hydroxyl = np.stack([np.linalg.norm(x[:, 8] - x[:, 2], axis=1) for x in alone], axis=1)
    np.testing.assert_allclose(mean.by_molecule(of.positions, of.cells)[:, :, 3], hydroxyl)
    off = np.square(hydroxyl - hydroxyl.mean(axis=0))
    np.testing.assert_allclose(variance.by_molecule(of.positions, of.cells)[:, :, 3], off)
    found = whole(mean, of.positions, of.cells)
    np.testing.assert_allclose(found[:, 3], hydroxyl.mean(axis=1))


def test_g_of_r_is_the_watchs_own() -> None:
    of = boxes(6, 3)
    assert of.cells is not None
    observable = RadialDistribution(of)
    found = whole(observable, of.positions, of.cells)
    counter = PairCounter(of.topology, observable.edges)
    expected = np.stack(
        [counter.functions(x, c).ravel() for x, c in zip(of.positions, of.cells, strict=True)]
    )
    assert observable.kinds == counter.names
    assert expected.max() > 0.5
    np.testing.assert_allclose(found, expected, atol=1e-12)
    parts = observable.by_molecule(of.positions, of.cells)
    assert np.abs(parts - found[:, None]).max() > 0.1


def test_pairs_stay_within_molecules() -> None:
    pairs = pairs_within(np.array([0, 0, 1, 0, 1, 2]))
    assert pairs.tolist() == [[0, 1], [0, 3], [1, 3], [2, 4]]
