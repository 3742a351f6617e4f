"""Supercells, molecules apart, wrapped coordinates: what a wrong list or shift breaks."""

from collections.abc import Callable

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frame

Evaluator = Callable[[Frame], tuple[float, FloatArray]]


def repeated(frame: Frame, copies: int) -> Frame:
    shifts = np.arange(copies)[:, None, None] * frame.cell[0]
    positions = (frame.positions[None] + shifts).reshape(-1, 3)
    cell = frame.cell.copy()
    cell[0] *= copies
    return Frame(np.tile(frame.atomic_numbers, copies), positions, cell, frame.pbc)


def assert_extensive(evaluator: Evaluator, frame: Frame) -> None:
    energy, forces = evaluator(frame)
    big_energy, big_forces = evaluator(repeated(frame, 3))
    assert abs(big_energy - 3 * energy) < 1e-9
    np.testing.assert_allclose(big_forces, np.tile(forces, (3, 1)), atol=1e-10)


def test_supercell_has_three_times_the_energy(predict: Evaluator, crystal: Frame) -> None:
    assert_extensive(predict, crystal)


def test_sabotage_a_list_without_self_images_is_caught(predict: Evaluator, crystal: Frame) -> None:
    def minimum_image_only(frame: Frame) -> tuple[float, FloatArray]:
        # What a code with the minimum-image convention would do in a cell this small: it loses
        # the images along the first vector, as an open boundary does.
        return predict(
            Frame(frame.atomic_numbers, frame.positions, frame.cell, np.array([False, True, True]))
        )

    with pytest.raises(AssertionError):
        assert_extensive(minimum_image_only, crystal)


def assert_wraps(evaluator: Evaluator, frame: Frame) -> None:
    scaled = frame.positions @ np.linalg.inv(frame.cell)
    wrapped = Frame(frame.atomic_numbers, (scaled % 1.0) @ frame.cell, frame.cell, frame.pbc)
    energy, forces = evaluator(frame)
    wrapped_energy, wrapped_forces = evaluator(wrapped)
    assert np.abs(wrapped.positions - frame.positions).max() > 1.0
    assert abs(energy - wrapped_energy) < 1e-10
    np.testing.assert_allclose(forces, wrapped_forces, atol=1e-10)


def test_wrapped_and_unwrapped_agree(predict: Evaluator, crystal: Frame) -> None:
    assert_wraps(predict, crystal)


def test_sabotage_an_open_boundary_is_caught(predict: Evaluator, crystal: Frame) -> None:
    with pytest.raises(AssertionError):
        assert_wraps(lambda frame: predict(Frame(frame.atomic_numbers, frame.positions)), crystal)


def pair_of(frame: Frame, distance: float) -> Frame:
    span = np.ptp(frame.positions[:, 0])
    moved = frame.positions + np.array([span + distance, 0.3, -0.2])
    return Frame(np.tile(frame.atomic_numbers, 2), np.concatenate([frame.positions, moved]))


def test_two_molecules_beyond_the_cutoff_sum(predict: Evaluator, molecule: Frame) -> None:
    energy, forces = predict(molecule)
    both_energy, both_forces = predict(pair_of(molecule, 3.01))
    assert abs(both_energy - 2 * energy) < 1e-11
    np.testing.assert_allclose(both_forces, np.tile(forces, (2, 1)), atol=1e-11)


def test_sabotage_two_molecules_within_the_cutoff_do_not_sum(
    predict: Evaluator, molecule: Frame
) -> None:
    energy, _ = predict(molecule)
    both_energy, _ = predict(pair_of(molecule, 1.8))
    assert abs(both_energy - 2 * energy) > 1e-6
