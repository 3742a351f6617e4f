"""Energy and forces stay continuous while an atom crosses the cutoff."""

from collections.abc import Callable

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.model import network

Evaluator = Callable[[Frame], tuple[float, FloatArray]]


def largest_jump(evaluator: Evaluator, cutoff: float = 3.0) -> float:
    """Return the largest change of the force (eV/Å) over 1e-4 Å around the cutoff."""
    forces = []
    for distance in cutoff + 1e-4 * np.arange(-20, 21):
        positions = np.array([[0.0, 0.0, 0.0], [0.9, 0.6, 0.1], [0.0, 0.0, distance]])
        forces.append(evaluator(Frame(np.array([6, 1, 8]), positions))[1][2])
    return float(np.abs(np.diff(forces, axis=0)).max())


def test_forces_are_smooth_through_the_cutoff(predict: Evaluator) -> None:
    # The third atom has another neighbor inside the cutoff, so its force is not zero.
    assert largest_jump(predict) < 1e-3


def test_sabotage_a_cut_without_an_envelope_jumps(
    predict: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step_function(distances, cutoff):  # type: ignore[no-untyped-def]
        return (distances < cutoff).to(distances)

    monkeypatch.setattr(network, "smooth_envelope", step_function)
    assert largest_jump(predict) > 1e-2
