"""Rotation, inversion, translation and permutation on a molecule without symmetry."""

from collections.abc import Callable

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.testing import assert_equivariant, assert_forces_match_energy

Evaluator = Callable[[Frame], tuple[float, FloatArray]]


def at(frame: Frame, positions: FloatArray) -> Frame:
    return Frame(frame.atomic_numbers, positions, frame.cell, frame.pbc)


def test_energy_and_forces_follow_rotation_reflection_translation(
    predict: Evaluator, molecule: Frame
) -> None:
    for seed in range(3):
        assert_equivariant(
            lambda x: predict(at(molecule, x)), molecule.positions, seed=seed, tolerance=1e-10
        )


def test_sabotage_a_weak_field_along_z_is_caught(predict: Evaluator, molecule: Frame) -> None:
    def in_a_field(x: FloatArray) -> tuple[float, FloatArray]:
        energy, forces = predict(at(molecule, x))
        weak = np.zeros_like(forces)
        weak[0, 2] = 1e-6
        return energy - 1e-6 * x[0, 2], forces + weak

    with pytest.raises(AssertionError):
        assert_equivariant(in_a_field, molecule.positions, tolerance=1e-10)


def assert_permutes(evaluator: Evaluator, frame: Frame) -> None:
    order = np.random.default_rng(0).permutation(frame.n_atoms)
    energy, forces = evaluator(frame)
    moved = Frame(frame.atomic_numbers[order], frame.positions[order])
    permuted_energy, permuted_forces = evaluator(moved)
    assert abs(energy - permuted_energy) < 1e-11
    np.testing.assert_allclose(permuted_forces, forces[order], atol=1e-11)


def test_permutation(predict: Evaluator, molecule: Frame) -> None:
    assert_permutes(predict, molecule)


def test_sabotage_an_energy_of_the_first_atom_is_caught(
    predict: Evaluator, molecule: Frame
) -> None:
    def first_atom_counts(frame: Frame) -> tuple[float, FloatArray]:
        energy, forces = predict(frame)
        return energy + 1e-9 * float(frame.positions[0] @ frame.positions[1]), forces

    with pytest.raises(AssertionError):
        assert_permutes(first_atom_counts, molecule)


@pytest.mark.parametrize("name", ["molecule", "crystal"])
def test_forces_are_the_gradient(
    predict: Evaluator, name: str, request: pytest.FixtureRequest
) -> None:
    frame: Frame = request.getfixturevalue(name)
    assert_forces_match_energy(
        lambda x: predict(at(frame, x)), frame.positions, step=1e-4, tolerance=1e-6
    )


@pytest.mark.parametrize("name", ["molecule", "crystal"])
def test_sabotage_forces_one_percent_too_large_are_caught(
    predict: Evaluator, name: str, request: pytest.FixtureRequest
) -> None:
    frame: Frame = request.getfixturevalue(name)

    def too_large(x: FloatArray) -> tuple[float, FloatArray]:
        energy, forces = predict(at(frame, x))
        return energy, 1.01 * forces

    with pytest.raises(AssertionError):
        assert_forces_match_energy(too_large, frame.positions, step=1e-4, tolerance=1e-6)
