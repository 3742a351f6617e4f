"""Radial distributions between molecules: an ideal gas has none, and an error is caught."""

import json
from pathlib import Path

import numpy as np
import pytest
from openmm.app import Topology, element

from fisher_mlip.errors import InputError
from openmm_plugin.thermometer import Temperatures
from openmm_plugin.watch import Look, RadialError, RadialReference, radial_reference

CELL = np.array([[14.0, 0.0, 0.0], [5.0, 13.0, 0.0], [-4.0, 3.0, 12.0]])


def diatomics(count: int) -> Topology:
    topology = Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    for _ in range(count):
        carbon = topology.addAtom("C", element.carbon, residue)
        topology.addBond(carbon, topology.addAtom("O", element.oxygen, residue))
    return topology


def gas(seed: int, closest: float = 0.0, count: int = 80) -> np.ndarray:
    """Return molecules at random places whose centers keep a distance."""
    rng = np.random.default_rng(seed)
    centers: list[np.ndarray] = []
    while len(centers) < count:
        place = rng.uniform(size=3) @ CELL
        shifts = np.array([np.array(n) - 1 for n in np.ndindex(3, 3, 3)]) @ CELL
        apart = [np.linalg.norm(place + shifts - other, axis=1).min() for other in centers]
        if min(apart, default=np.inf) >= closest:
            centers.append(place)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ends = np.array(centers) + 1.2 * directions
    return np.stack([np.array(centers), ends], axis=1).reshape(-1, 3)


def look(positions: np.ndarray, step: int) -> Look:
    hot = Temperatures(1.0, 1.0, {}, {})
    return Look(step, step * 0.001, positions, positions * 0, CELL, hot)


def test_an_ideal_gas_is_uniform_and_its_bonds_are_not_seen() -> None:
    frames = np.array([gas(seed) for seed in range(20)])
    found = radial_reference(diatomics(80), frames, np.array([CELL] * 20), bin_width=0.5)
    assert list(found.functions) == ["C-C", "C-O", "O-O"]
    for g in found.functions.values():
        np.testing.assert_allclose(g[4:], 1.0, atol=0.08)
    pair = found.functions["C-O"][2]  # the bond of 1.2 Å would be a peak of some 20
    assert pair < 2.0


def _error(frames: list[np.ndarray], reference: RadialReference, recalled: bool) -> RadialError:
    """Return the criterion after two windows of ten frames each and the start of a third."""
    topology = diatomics(80)
    criterion = RadialError(topology, reference, 1.0, window_ps=0.1, interval=10)
    for number in range(21):
        if recalled and number in (4, 13):
            memory = json.loads(json.dumps(criterion.memory()))
            criterion = RadialError(topology, reference, 1.0, window_ps=0.1, interval=10)
            criterion.recall(memory)
        criterion.measure(look(frames[number % len(frames)], 10 * number))
    return criterion


def test_structure_that_is_lost_trips(tmp_path: Path) -> None:
    ordered = [gas(seed, closest=2.1) for seed in range(14)]
    reference = radial_reference(diatomics(80), np.array(ordered), np.array([CELL] * 14))
    reference.write(tmp_path / "rdf.npz")
    reference = RadialReference.read(tmp_path / "rdf.npz")
    same = [gas(seed, closest=2.1) for seed in range(20, 27)]
    lost = [gas(seed) for seed in range(7)]
    values = {}
    for name, frames in {"same": same, "lost": lost}.items():
        for recalled in (False, True):
            criterion = _error(frames, reference, recalled)
            values[name, recalled] = criterion.measure(look(frames[0], 215))
        assert values[name, True] == values[name, False]
    assert values["same", False] < 1.0 < values["lost", False]
    assert criterion.where() in ("C-C", "C-O", "O-O")


def test_what_does_not_fit_is_told() -> None:
    reference = RadialReference(np.linspace(0, 6, 7), {"C-C": np.ones(6)})
    with pytest.raises(InputError, match=r"expected g\(r\) of C-C, C-O, O-O"):
        RadialError(diatomics(2), reference)
    with pytest.raises(InputError, match="with a cell each"):
        radial_reference(diatomics(2), np.zeros((0, 4, 3)), np.zeros((0, 3, 3)))


def test_a_file_that_is_no_reference_is_refused(tmp_path: Path) -> None:
    """Torn, an array alone, or with a NaN, which no bound would ever catch."""
    whole, path = tmp_path / "whole.npz", tmp_path / "rdf.npz"
    edges, ones = np.linspace(0, 6, 7), np.ones(6)
    RadialReference(edges, {"C-C": ones}).write(whole)
    path.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"expected an \.npz in"):
        RadialReference.read(path)
    with path.open("wb") as handle:
        np.save(handle, ones)
    with pytest.raises(InputError, match=r"expected an \.npz in"):
        RadialReference.read(path)
    RadialReference(edges, {"C-C": ones, "C-O": np.where(edges[1:] > 3.0, np.nan, 1.0)}).write(path)
    with pytest.raises(InputError, match=r"expected finite numbers in .* found others in C-O"):
        RadialReference.read(path)
    RadialReference(np.append(edges[:-1], np.inf), {"C-C": ones}).write(path)
    with pytest.raises(InputError, match=r"expected finite numbers in .* found others in edges"):
        RadialReference.read(path)
    assert RadialReference.read(whole).functions.keys() == {"C-C"}
