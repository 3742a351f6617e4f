"""The stress against finite strains made outside of the model."""

from collections.abc import Callable

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frame

Evaluator = Callable[[Frame], tuple[float, FloatArray]]


def strained_stress(evaluator: Evaluator, frame: Frame, step: float = 1e-5) -> FloatArray:
    """Return dE/dε / V by central differences of each symmetric strain."""
    volume = abs(np.linalg.det(frame.cell))
    stress = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            strain = np.zeros((3, 3))
            strain[i, j] += 0.5 * step
            strain[j, i] += 0.5 * step
            energies = []
            for sign in (1.0, -1.0):
                deformation = np.eye(3) + sign * strain
                moved = Frame(
                    frame.atomic_numbers,
                    frame.positions @ deformation,
                    frame.cell @ deformation,
                    frame.pbc,
                )
                energies.append(evaluator(moved)[0])
            stress[i, j] = (energies[0] - energies[1]) / (2.0 * step) / volume
    return stress


def test_stress_is_the_strain_derivative(
    predict: Evaluator, predict_stress: Callable[[Frame], FloatArray], crystal: Frame
) -> None:
    expected = strained_stress(predict, crystal)
    np.testing.assert_allclose(
        predict_stress(crystal), expected, atol=1e-7 * np.abs(expected).max()
    )


def test_sabotage_two_swapped_components_are_caught(
    predict: Evaluator, predict_stress: Callable[[Frame], FloatArray], crystal: Frame
) -> None:
    swapped = predict_stress(crystal)[[1, 0, 2]][:, [1, 0, 2]]
    expected = strained_stress(predict, crystal)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(swapped, expected, atol=1e-7 * np.abs(expected).max())
