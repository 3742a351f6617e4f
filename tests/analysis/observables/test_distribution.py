"""Distances between distributions that are known, and errors that cover."""

import numpy as np
import pytest

from fisher_mlip.analysis.observables.distribution import (
    MOST_BLOCKS,
    Distribution,
    Streamed,
    absolute_distance,
    wasserstein_distance,
)

EDGES = np.linspace(0.0, 4.0, 401)


def gaussian(center: float, width: float, *, seed: int, molecules: int = 12) -> Distribution:
    stream = Streamed(EDGES, np.arange(molecules))
    generator = np.random.default_rng(seed)
    for _ in range(3):
        stream.add(generator.normal(center, width, (200, molecules)))
    found = stream.finish()
    assert found is not None
    return found


def check_wasserstein(found: Distribution, reference: Distribution, shift: float) -> None:
    distance = wasserstein_distance(found, reference)
    assert distance.value == pytest.approx(shift, abs=4.0 * distance.error + 1e-9)
    assert distance.value > 3.0 * distance.noise


def test_a_shift_is_its_wasserstein_distance() -> None:
    found, reference = gaussian(1.55, 0.05, seed=0), gaussian(1.5, 0.05, seed=1)
    check_wasserstein(found, reference, 0.05)
    with pytest.raises(AssertionError):
        check_wasserstein(gaussian(1.5, 0.05, seed=2), reference, 0.05)
    assert found.mean == pytest.approx(1.55, abs=4 * found.mean_error)
    assert found.std == pytest.approx(0.05, abs=4 * found.std_error)
    assert found.source == "molecules"
    assert (found.density * np.diff(EDGES)).sum() == pytest.approx(1.0)


def test_equal_distributions_are_as_far_apart_as_the_noise() -> None:
    distances = [
        absolute_distance(gaussian(1.5, 0.1, seed=2 * k), gaussian(1.5, 0.1, seed=2 * k + 1))
        for k in range(3)
    ]
    values = np.array([distance.value for distance in distances])
    noises = np.array([distance.noise for distance in distances])
    assert values.mean() == pytest.approx(noises.mean(), rel=0.25)
    apart = absolute_distance(gaussian(1.0, 0.1, seed=0), gaussian(3.0, 0.1, seed=1))
    assert apart.value == pytest.approx(2.0)


def test_blocks_of_time_are_merged_and_know_correlation() -> None:
    """A value that stays for 50 frames has an error of its 40 draws, not of 2,000 frames."""
    generator = np.random.default_rng(0)
    slow = np.repeat(generator.normal(2.0, 0.3, 40), 50)
    stream = Streamed(EDGES)
    for part in np.array_split(slow[:, None], 7):
        stream.add(part)
    found = stream.finish()
    assert found is not None
    assert len(found.counts) <= MOST_BLOCKS
    assert found.counts.sum() == 2000
    assert found.source == "blocks of time"
    assert found.mean == pytest.approx(slow.mean())
    assert found.mean_error == pytest.approx(0.3 / np.sqrt(40), rel=0.4)
    assert found.mean_error > 3.0 * slow.std() / np.sqrt(2000)


def test_what_is_not_finite_is_left_out() -> None:
    stream = Streamed(EDGES, np.array([0, 1]))
    assert stream.finish() is None
    stream.add(np.array([[1.0, np.nan], [2.0, np.inf]]))
    found = stream.finish()
    assert found is not None
    assert (found.mean, found.counts.sum()) == (1.5, 2)
