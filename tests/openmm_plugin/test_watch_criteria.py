"""Each criterion has a case that it must catch and a twin that it must let pass."""

import dataclasses
import itertools
import json
from typing import Any

import numpy as np
import pytest
from openmm.app import Topology, element

from fisher_mlip.data.ethanol import ethanol_positions, ethanol_topology
from fisher_mlip.errors import InputError
from openmm_plugin.bonds import molecule_index
from openmm_plugin.thermometer import Temperatures
from openmm_plugin.watch import (
    BondDeviation,
    Criterion,
    EnergyChange,
    Equipartition,
    FiniteNumbers,
    ForceUncertainty,
    IntermolecularDistance,
    LargestForce,
    Look,
    TemperatureRise,
    standard_criteria,
)
from openmm_plugin.watch.pairs import near_pairs

TRICLINIC = np.array([[9.0, 0.0, 0.0], [4.0, 8.0, 0.0], [-3.5, 3.0, 7.0]])


def temperatures(total: float = 300.0, **elements: float) -> Temperatures:
    by_element = {"C": 300.0, "H": 300.0, "O": 300.0} | elements
    freedom = {"C": 1200.0, "H": 3600.0, "O": 600.0}
    return Temperatures(total, 5400.0, by_element, freedom)


def look(positions: np.ndarray, **values: Any) -> Look:
    chosen: dict[str, Any] = {
        **{"step": 0, "time_ps": 0.0, "positions": positions, "velocities": positions * 0},
        **{"cell": None, "temperatures": temperatures(), "forces": positions * 0},
        "total_energy": -3.0,
    }
    return Look(**(chosen | values))


def trips(criterion: Criterion, *looks: Look) -> bool:
    """Return whether the last of some looks is beyond the bound."""
    return criterion.is_beyond([criterion.measure(one) for one in looks][-1])


@pytest.mark.parametrize("cell", [None, np.eye(3) * 12.0, TRICLINIC * 1.5])
def test_a_long_bond_trips_and_one_across_the_box_does_not(cell: np.ndarray | None) -> None:
    topology = ethanol_topology(2)
    start = np.concatenate([ethanol_positions(), ethanol_positions() + 4.0])
    stretched = {}
    for factor in (0.45, 0.55, -0.55):
        moved = start.copy()
        bond = moved[17] - moved[11]
        moved[17] += factor * bond / np.linalg.norm(bond)
        stretched[factor] = moved
    before = look(start, cell=cell)
    for factor, moved in stretched.items():
        criterion = BondDeviation(topology)
        assert trips(criterion, before, look(moved, cell=cell)) is (abs(factor) > 0.5)
        assert (criterion.where() == "O11-H17") is True
    if cell is not None:
        jumped = start.copy()
        jumped[17] += cell[1] - cell[0]
        assert not trips(BondDeviation(topology), before, look(jumped, cell=cell))
        assert trips(BondDeviation(topology), look(start), look(jumped))


def test_equal_bonds_share_a_reference() -> None:
    """Of two molecules one starts stretched: it is off the mean of both from the beginning."""
    positions = np.concatenate([ethanol_positions(), ethanol_positions() + 9.0])
    positions[17] += 0.8 * (positions[17] - positions[11]) / 0.97
    found = BondDeviation(ethanol_topology(2)).measure(look(positions))
    assert found == pytest.approx(0.4, abs=0.02)
    given = np.full(16, 1.2)
    assert BondDeviation(ethanol_topology(2), lengths=given).measure(look(positions)) > 0.5


@pytest.mark.parametrize("shift", [0.0, 7.3, -100.0])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_pairs_are_those_of_brute_force(shift: float, scale: float) -> None:
    """At a quarter of its size the cell is thinner than the reach: atoms see several images."""
    rng = np.random.default_rng(3)
    cell = TRICLINIC * scale
    positions = rng.uniform(-2.0, 3.0, (12, 3)) @ cell + shift
    molecules = np.repeat(np.arange(4), 3)
    pairs, distances = near_pairs(positions, cell, 2.2, molecules)
    wrapped = positions - np.floor(positions @ np.linalg.inv(cell)) @ cell
    span = range(-4, 5)
    expected = [
        np.linalg.norm(wrapped[j] + np.array(n) @ cell - wrapped[i])
        for i, j in itertools.combinations(range(12), 2)
        if molecules[i] != molecules[j]
        for n in itertools.product(span, span, span)
    ]
    near = np.sort([d for d in expected if d < 2.2])
    assert len(near) > 5
    np.testing.assert_allclose(np.sort(distances), near, atol=1e-9)
    assert (molecules[pairs[:, 0]] != molecules[pairs[:, 1]]).all()
    without_lean = near_pairs(positions, np.diag(np.diagonal(cell)), 2.2, molecules)[1]
    assert len(without_lean) != len(near) or not np.allclose(np.sort(without_lean), near)


def test_molecules_in_contact_across_the_box_trip() -> None:
    topology = ethanol_topology(2)
    centered = ethanol_positions() - ethanol_positions().mean(axis=0)
    cell = TRICLINIC * 1.3
    for gap, is_alarm in ((1.0, True), (1.4, False)):
        second = centered + cell[2] - cell[1]
        second += [0.0, 0.0, _gap(centered, centered, gap)]
        criterion = IntermolecularDistance(topology)
        positions = np.concatenate([centered, second])
        assert trips(criterion, look(positions, cell=cell)) is is_alarm
        assert not trips(IntermolecularDistance(topology), look(positions))
        assert bool(criterion.where())


def _gap(first: np.ndarray, second: np.ndarray, gap: float) -> float:
    """Return how far up the second molecule must go to be that far from the first."""
    heights = np.linspace(10.0, 0.0, 5001)
    for height in heights:
        moved = second + np.array([0.0, 0.0, height])
        if np.linalg.norm(first[:, None] - moved[None], axis=2).min() <= gap:
            return float(height)
    raise AssertionError


def test_bonded_atoms_are_no_contact() -> None:
    criterion = IntermolecularDistance(ethanol_topology(1))
    assert not trips(criterion, look(ethanol_positions()))


POSITIONS = ethanol_positions()
NAN = POSITIONS.copy()
NAN[4, 1] = np.nan


@pytest.mark.parametrize(
    ("criterion", "bad", "good"),
    [
        (FiniteNumbers(), {"positions": NAN}, {}),
        (FiniteNumbers(), {"forces": NAN}, {"forces": POSITIONS * 1e30}),
        (FiniteNumbers(), {"total_energy": np.inf}, {"total_energy": 1e30}),
        (LargestForce(50.0), {"forces": np.eye(9)[:, :3] * 51}, {"forces": np.eye(9)[:, :3] * 49}),
        (
            TemperatureRise(300.0, 2.0),
            {"temperatures": temperatures(640.0)},
            {"temperatures": temperatures(600.0)},
        ),
        (
            ForceUncertainty(lambda: (0, 1100.0), 0.1),
            {"step": 0},
            {"step": 10},
        ),
    ],
)
def test_bounds(criterion: Criterion, bad: dict[str, Any], good: dict[str, Any]) -> None:
    whole = look(POSITIONS)
    with np.errstate(all="ignore"):
        assert trips(criterion, dataclasses.replace(whole, **bad))
        assert not trips(criterion, dataclasses.replace(whole, **good))


def test_few_atoms_may_be_hot_by_chance() -> None:
    hot = dataclasses.replace(temperatures(900.0), degrees_of_freedom=24.0)
    assert not trips(TemperatureRise(300.0), look(POSITIONS, temperatures=hot))
    assert trips(TemperatureRise(300.0), look(POSITIONS, temperatures=temperatures(900.0)))


def test_energy_is_compared_with_that_of_the_start() -> None:
    criterion = EnergyChange(0.05)
    start = look(POSITIONS)
    assert not trips(criterion, start, look(POSITIONS, total_energy=-3.0 + 9 * 0.04))
    assert trips(criterion, look(POSITIONS, total_energy=-3.0 - 9 * 0.06))
    again = EnergyChange(0.05)
    again.recall(json.loads(json.dumps(criterion.memory())))
    assert trips(again, look(POSITIONS, total_energy=-3.0 + 9 * 0.06))
    assert not trips(again, look(POSITIONS, forces=None, total_energy=None))


def _hydrogens(temperature: float, recalled_at: int | None = None) -> bool:
    """Return whether two windows of ten looks with such hydrogens trip."""
    criterion = Equipartition(0.5, window_ps=0.1)
    found = []
    for step in range(21):
        if step == recalled_at:
            memory = json.loads(json.dumps(criterion.memory()))
            criterion = Equipartition(0.5, window_ps=0.1)
            criterion.recall(memory)
        noisy = temperature * (1.5 if step % 2 else 0.5)
        seen = temperatures(300.0, H=noisy)
        found.append(
            criterion.measure(look(POSITIONS, step=step, time_ps=step * 0.01, temperatures=seen))
        )
    assert np.isnan(found[:10]).all()
    return criterion.is_beyond(found[-1])


@pytest.mark.parametrize("recalled_at", [None, 1, 7, 10, 15])
def test_hot_hydrogens_trip_and_noise_does_not(recalled_at: int | None) -> None:
    assert _hydrogens(500.0, recalled_at)
    assert not _hydrogens(330.0, recalled_at)


def test_what_does_not_apply_is_left_out() -> None:
    def names(topology: Topology, **values: Any) -> set[str]:
        return {criterion.name for criterion in standard_criteria(topology, **values)}

    liquid = names(ethanol_topology(2), temperature=300.0, is_conserved=True)
    assert len(liquid) == 6
    gas = names(ethanol_topology(2), independent_molecules=True)
    assert "intermolecular distance" not in gas
    assert "temperature over target" not in gas
    assert "bond deviation" not in names(ethanol_topology(2), bond_deviation=0.0)
    argon = Topology()
    residue = argon.addResidue("MOL", argon.addChain())
    for _ in range(3):
        argon.addAtom("Ar", element.argon, residue)
    assert names(argon) == {"largest force", "equipartition by element"}


def test_kinds_of_bond() -> None:
    from openmm_plugin.watch.bond_lengths import bond_kinds

    topology = ethanol_topology(3)
    bonds = np.array([(b.atom1.index, b.atom2.index) for b in topology.bonds()])
    kinds = bond_kinds(topology, bonds)
    assert sorted(np.bincount(kinds).tolist()) == [3] * 8
    assert (np.sort(kinds.reshape(3, 8), axis=1) == np.arange(8)).all()
    assert molecule_index(topology).max() == 2


def test_an_unknown_reference_is_refused(tmp_path: Any) -> None:
    from openmm_plugin.watch import RadialReference

    with pytest.raises(InputError, match=r"expected an \.npz"):
        RadialReference.read(tmp_path / "absent.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="expected rising 'edges'"):
        RadialReference.read(tmp_path / "other.npz")
