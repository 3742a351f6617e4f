"""Random walks of a known D; forgetting to unwrap must fail."""

import numpy as np
import pytest

from fisher_mlip.analysis.observables.diffusion import (
    Diffusion,
    einstein,
    mean_square_displacements,
)
from fisher_mlip.analysis.observables.unwrapping import Unwrapper
from fisher_mlip.data.frames import FloatArray

CELL = np.array([[12.0, 0.0, 0.0], [2.0, 11.0, 0.0], [0.0, 1.0, 10.0]])
INTERVAL, TRUTH = 0.5, 2.5  # ps, 1e-9 m²/s


def walk(seed: int, frames: int = 2000, molecules: int = 40) -> FloatArray:
    # D = s² / 2 dt by direction; 1e-9 m²/s = 0.1 Å²/ps.
    spread = np.sqrt(2.0 * 0.1 * TRUTH * INTERVAL)
    steps = np.random.default_rng(seed).normal(0.0, spread, (frames, molecules, 3))
    return np.asarray(np.cumsum(steps, axis=0))


def wrapped(paths: FloatArray) -> FloatArray:
    fractions = paths @ np.linalg.inv(CELL)
    return np.asarray((fractions - np.floor(fractions)) @ CELL)


def check_coefficient(paths: FloatArray) -> Diffusion:
    found = einstein(paths, INTERVAL, window=(0.02, 0.2), box_length=11.0)
    assert found.coefficient == pytest.approx(TRUTH, abs=4.0 * found.coefficient_error)
    assert found.coefficient_error < 0.1 * TRUTH * 2.0
    assert found.exponent == pytest.approx(1.0, abs=0.1)
    return found


def test_a_walk_of_known_coefficient_across_the_boundary() -> None:
    paths = walk(0)
    folded = wrapped(paths)
    unwrapper = Unwrapper()
    cells = np.broadcast_to(CELL, (len(paths), 3, 3))
    parts = [unwrapper.add(part, cells[: len(part)]) for part in np.array_split(folded, 9)]
    whole = np.concatenate(parts)
    np.testing.assert_allclose(whole - whole[0], paths - paths[0], atol=1e-9)
    check_coefficient(whole)
    with pytest.raises(AssertionError):
        check_coefficient(folded)


def test_the_error_covers_the_truth() -> None:
    off = [check_coefficient(walk(seed, 600)) for seed in range(6)]
    pulls = [(found.coefficient - TRUTH) / found.coefficient_error for found in off]
    assert 0.2 < np.std(pulls) < 2.0


def test_displacements_by_fft_are_those_of_the_definition() -> None:
    paths = walk(1, frames=30, molecules=2) + 1e4
    found = mean_square_displacements(paths)
    for lag in (0, 1, 7, 29):
        moved = paths[lag:] - paths[: len(paths) - lag]
        np.testing.assert_allclose(found[lag], (moved**2).sum(axis=2).mean(axis=0), atol=1e-8)


def test_finite_size_correction_of_water() -> None:
    """Yeh and Hummer's: SPC/E-like water, 25 Å box, 0.7 mPa s: 0.36e-9 m²/s at 298 K."""
    found = einstein(walk(2, 200), INTERVAL, window=(0.1, 0.5), box_length=25.0)
    added = found.without_finite_size(298.0, 0.7) - found.coefficient
    assert added == pytest.approx(0.354, abs=0.005)
    still = Unwrapper().add(np.zeros((3, 1, 3)), None)
    assert still.shape == (3, 1, 3)
