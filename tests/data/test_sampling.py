"""Sampled ethanol: temperature, determinism, density, labels; packing that fails."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from openmm import unit

from fisher_mlip.data import Frames, equilibrated_liquid, read_frames, write_frames
from fisher_mlip.data.checks import check_trainable
from fisher_mlip.data.dynamics import advance, liquid_context
from fisher_mlip.data.ethanol import BONDS, MOLAR_MASS_AMU, check_hydrogens
from fisher_mlip.data.opls import OplsEthanol
from fisher_mlip.data.packing import box_length, pack_ethanol
from fisher_mlip.data.sampling import sample_gas, sample_liquid
from fisher_mlip.errors import InputError
from fisher_mlip.units import BOLTZMANN_EV_PER_K


@pytest.fixture(scope="module")
def gas() -> Frames:
    return sample_gas(32, 500.0, 1, interval_ps=0.5)


@pytest.fixture(scope="module")
def liquid() -> Frames:
    return sample_liquid(2, 300.0, 16, 1, interval_ps=0.1)


def require_thermal_energy(frames: Frames, temperature: float) -> None:
    """Equipartition: 3N - 6 vibrations, nearly harmonic, hold kT/2 each above the minimum."""
    mean = np.mean([frame.energy for frame in frames])
    minimum = 0.0426  # eV, of the trans conformer
    expected = minimum + 21 / 2 * BOLTZMANN_EV_PER_K * temperature
    # The spread of one frame is sqrt(21/2) kT.
    error = np.sqrt(21 / 2) * BOLTZMANN_EV_PER_K * temperature / np.sqrt(len(frames))
    assert abs(mean - expected) < 4 * error


def test_the_gas_has_its_temperature(gas: Frames) -> None:
    require_thermal_energy(gas, 500.0)
    with pytest.raises(AssertionError):
        require_thermal_energy(gas, 300.0)


def test_the_gas_visits_trans_and_gauche(gas: Frames) -> None:
    torsions = [_torsion(frame.positions) for frame in gas]
    trans = np.mean(np.abs(torsions) > 120)
    assert 0.1 < trans < 0.8


def _torsion(x: np.ndarray) -> float:
    axis = (x[2] - x[0]) / np.linalg.norm(x[2] - x[0])
    first, last = x[1] - x[0], x[8] - x[2]
    first, last = first - axis * (first @ axis), last - axis * (last @ axis)
    return float(np.degrees(np.arctan2(np.cross(first, last) @ axis, first @ last)))


def test_gas_labels_are_the_references(gas: Frames) -> None:
    energy, forces = OplsEthanol(1).energy_and_forces(gas[5].positions)
    assert gas[5].energy == energy
    np.testing.assert_array_equal(gas[5].forces, forces)
    assert gas.reference_energies == {1: 0.0, 6: 0.0, 8: 0.0}
    check_trainable(gas)


def test_the_seed_decides() -> None:
    first, again, other = (sample_gas(3, 300.0, seed, interval_ps=0.01) for seed in (7, 7, 8))
    assert first.content_hash() == again.content_hash()
    assert first.content_hash() != other.content_hash()


def test_the_liquid_is_whole_dense_and_labeled(liquid: Frames, tmp_path: Path) -> None:
    frame = liquid[1]
    assert frame.pbc.all()
    density = 16 * MOLAR_MASS_AMU / np.linalg.det(frame.cell) * 1.66053906660
    assert density == pytest.approx(0.789, rel=1e-6)
    check_hydrogens(frame.positions)
    molecules = frame.positions.reshape(-1, 9, 3)
    for i, j in BONDS:
        assert np.linalg.norm(molecules[:, i] - molecules[:, j], axis=1).max() < 1.8
    centers = molecules.mean(axis=1) / frame.cell[0, 0]
    assert ((centers >= 0) & (centers < 1)).all()
    reference = OplsEthanol(16, frame.cell)
    assert frame.energy == pytest.approx(reference.energy(frame.positions), abs=1e-9)
    np.testing.assert_allclose(frame.stress, reference.stress(frame.positions), atol=1e-9)
    check_trainable(liquid)
    write_frames(tmp_path / "liquid.xyz", liquid)
    assert read_frames(tmp_path / "liquid.xyz").content_hash() == liquid.content_hash()


def test_molecules_attract_each_other_in_the_liquid(liquid: Frames) -> None:
    single = OplsEthanol(1)
    alone = sum(single.energy(part) for part in liquid[1].positions.reshape(-1, 9, 3))
    assert liquid[1].energy is not None
    # The heat of vaporization is 0.44 eV per molecule; this box is small and fresh.
    assert -0.6 < (liquid[1].energy - alone) / 16 < -0.2


def test_an_equilibrated_box_depends_on_the_seed_alone() -> None:
    first, again = (equilibrated_liquid(16, 300.0, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.positions, again.positions)


def test_a_box_at_one_bar_moves_and_stays_a_liquid() -> None:
    context = liquid_context(16, 300.0, None, 3)
    advance(context, 3.0, 0.0, 3.0, "moving", None)
    volume = context.getState().getPeriodicBoxVolume().value_in_unit(unit.angstrom**3)
    density = 16 * MOLAR_MASS_AMU / volume * 1.66053906660
    assert density != pytest.approx(0.789, rel=1e-6)
    # One frame of 16 molecules fluctuates by 5 percent.
    assert 0.6 < density < 1.0


def test_packing_keeps_molecules_apart_across_the_boundary() -> None:
    positions, cell = pack_ethanol(20, 0.789, 5)
    length = box_length(20, 0.789)
    np.testing.assert_allclose(cell, length * np.eye(3))
    molecule = np.repeat(np.arange(20), 9)
    vectors = positions[:, None] - positions[None]
    vectors -= length * np.round(vectors / length)
    distances = np.linalg.norm(vectors, axis=-1)
    assert distances[molecule[:, None] != molecule[None]].min() > 1.95
    np.testing.assert_array_equal(pack_ethanol(20, 0.789, 5)[0], positions)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: pack_ethanol(16, 4.0, 0), "packmol cannot pack 16 ethanol molecules at 4.0 g/cm3"),
        (lambda: pack_ethanol(16, -1.0, 0), "a positive density, found 16 molecules at -1.0"),
        (lambda: sample_gas(0, 300.0, 0), "expected frames above zero, found 0"),
        (lambda: sample_gas(1, -3.0, 0), "expected temperature above zero, found -3.0"),
        (lambda: sample_liquid(1, 300.0, 2, 0), "at least 16 molecules in a periodic box, found 2"),
    ],
)
def test_impossible_samples_are_refused(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
