"""A harmonic oscillator sampled at one temperature, reweighted to another."""

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.reweighting import effective_sample_size, temperature_weights
from fisher_mlip.units import BOLTZMANN_EV_PER_K

STIFFNESS, N = 5.0, 4000  # eV/Å^2


def oscillator(temperature: float, n: int = N, offset: float = -4000.0) -> Frames:
    """Return exact Boltzmann samples of U = k x^2 / 2 in one direction."""
    spread = np.sqrt(BOLTZMANN_EV_PER_K * temperature / STIFFNESS)
    x = spread * np.random.default_rng(0).normal(size=n)
    frames = tuple(
        Frame(
            np.array([1]),
            np.array([[each, 0.0, 0.0]]),
            energy=float(0.5 * STIFFNESS * each**2) + offset,
        )
        for each in x
    )
    return Frames(frames, {1: 0.0}, "oscillator")


def assert_variance_of(temperature: float, frames: Frames, weights: FloatArray) -> None:
    """<x^2> = kT / k, within four standard errors of the weighted mean."""
    squares = np.array([frame.positions[0, 0] ** 2 for frame in frames])
    mean = float(weights @ squares / weights.sum())
    error = float(np.sqrt(np.square(weights * (squares - mean)).sum()) / weights.sum())
    expected = BOLTZMANN_EV_PER_K * temperature / STIFFNESS
    assert abs(mean - expected) < 4.0 * error
    assert error < 0.1 * expected


@pytest.mark.parametrize("wanted", [250.0, 300.0, 450.0])
def test_the_variance_is_that_of_the_other_temperature(wanted: float) -> None:
    frames = oscillator(300.0)
    weights = temperature_weights(frames, 300.0, wanted)
    assert_variance_of(wanted, frames, weights)
    assert weights.mean() == pytest.approx(1.0)


def test_sabotage_weights_of_the_other_sign_are_caught() -> None:
    frames = oscillator(300.0)
    weights = temperature_weights(frames, 300.0, 450.0)
    for wrong in (1.0 / weights, np.ones(N)):
        with pytest.raises(AssertionError):
            assert_variance_of(450.0, frames, wrong)


def test_the_zero_of_energy_does_not_matter() -> None:
    weights = [temperature_weights(oscillator(300.0, 50, e), 300.0, 350.0) for e in (0.0, -4000.0)]
    np.testing.assert_allclose(*weights, rtol=1e-8)


def test_the_effective_size_is_that_of_equal_weights() -> None:
    assert effective_sample_size(np.ones(7)) == pytest.approx(7.0)
    assert effective_sample_size(np.array([1.0, 0.0, 0.0])) == pytest.approx(1.0)
    assert effective_sample_size(np.array([1.0, 1.0, 0.0]) * 9.0) == pytest.approx(2.0)
    # Weights exp(-(s - 1) z^2 / 2) of a normal z, s = T1/T2: <w>^2 / <w^2> = sqrt(2 s - 1) / s.
    for wanted in (250.0, 400.0):
        weights = temperature_weights(oscillator(300.0), 300.0, wanted)
        s = 300.0 / wanted
        expected = N * np.sqrt(2.0 * s - 1.0) / s
        assert effective_sample_size(weights) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("temperatures", [(300.0, 0.0), (-1.0, 300.0), (300.0, float("nan"))])
def test_temperatures_that_cannot_be_are_refused(temperatures: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="temperatures above 0 K"):
        temperature_weights(oscillator(300.0, 30), *temperatures)


def test_too_far_a_temperature_is_refused() -> None:
    with pytest.raises(InputError, match=r"leaves .* effective frames, expected at least 400"):
        temperature_weights(oscillator(300.0), 300.0, 1.0)
    with pytest.raises(InputError, match=r"leaves .* effective frames, expected at least 20"):
        temperature_weights(oscillator(300.0, 19), 300.0, 300.0)


def test_frames_that_cannot_be_weighted_are_refused() -> None:
    frames = oscillator(300.0, 30)
    other = Frame(np.array([2]), np.zeros((1, 3)), energy=0.0)
    with pytest.raises(InputError, match="one composition to reweight, found 2"):
        temperature_weights(Frames((*frames.frames, other)), 300.0, 310.0)
    bare = Frames((*frames.frames, frames[0].relabelled(energy=None)), {}, "some.xyz")
    with pytest.raises(InputError, match=r"an energy in every frame of some\.xyz"):
        temperature_weights(bare, 300.0, 310.0)
