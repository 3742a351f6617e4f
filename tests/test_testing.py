"""The shipped checks: they pass what is right and fail what is slightly wrong."""

import numpy as np
import pytest

from fisher_mlip.testing import (
    FloatArray,
    IntArray,
    assert_equivariant,
    assert_forces_match_energy,
    ethanol,
    low_symmetry_molecule,
    morse_energy_and_forces,
    random_rotation,
)

NUMBERS, POSITIONS = low_symmetry_molecule()


def morse(positions: FloatArray) -> tuple[float, FloatArray]:
    return morse_energy_and_forces(NUMBERS, positions)


def scaled_forces(positions: FloatArray) -> tuple[float, FloatArray]:
    energy, forces = morse(positions)
    return energy, 1.01 * forces


def pulled_along_x(positions: FloatArray) -> tuple[float, FloatArray]:
    energy, forces = morse(positions)
    return energy, forces + np.array([0.01, 0.0, 0.0])


def chiral(positions: FloatArray) -> tuple[float, FloatArray]:
    energy, forces = morse(positions)
    edges = positions[1:4] - positions[0]
    return energy + 0.01 * float(np.linalg.det(edges)), forces


def test_forces_match_energy() -> None:
    assert_forces_match_energy(morse, POSITIONS)
    with pytest.raises(AssertionError, match="differ"):
        assert_forces_match_energy(scaled_forces, POSITIONS)


def test_equivariance() -> None:
    assert_equivariant(morse, POSITIONS)
    with pytest.raises(AssertionError, match="forces"):
        assert_equivariant(pulled_along_x, POSITIONS)
    with pytest.raises(AssertionError, match="energy"):
        assert_equivariant(chiral, POSITIONS)


def test_nan_does_not_pass() -> None:
    with pytest.raises(AssertionError):
        assert_equivariant(lambda x: (np.nan, morse(x)[1]), POSITIONS)
    with pytest.raises(AssertionError):
        assert_forces_match_energy(lambda x: (morse(x)[0], np.nan * x), POSITIONS)


def test_rotations_are_proper_and_differ() -> None:
    for seed in range(20):
        rotation = random_rotation(seed)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert np.abs(random_rotation(0) - random_rotation(1)).max() > 0.1
    mean = np.mean([random_rotation(seed) for seed in range(2000)], axis=0)
    assert np.abs(mean).max() < 0.06  # uniform: zero mean, 0.013 its standard error


@pytest.mark.parametrize("molecule", [ethanol(), low_symmetry_molecule()])
def test_molecules_have_bonds_and_no_clashes(molecule: tuple[IntArray, FloatArray]) -> None:
    numbers, positions = molecule
    assert len(numbers) == len(positions)
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    nearest = (distances + 10.0 * np.eye(len(numbers))).min(axis=1)
    assert nearest.min() > 0.9
    assert nearest.max() < 1.6


def test_low_symmetry_molecule_is_chiral() -> None:
    """No rotation maps it on its mirror image: improper and proper fits differ."""
    centered = POSITIONS - POSITIONS.mean(axis=0)
    singular_values = np.linalg.svd(centered.T @ centered)[1]
    assert singular_values.min() > 0.1  # not planar
    assert np.diff(np.sort(singular_values)).min() > 0.1  # no symmetric top
