"""theta without forces: densities known exactly, error bars that hold, and what must break it."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.block_sums import BlockSums, LaplacianName, block_sums, joined, one_block
from fisher_mlip.fisher.jackknife import Estimate, covariance_factor, estimate
from fisher_mlip.fisher.jacobian import feature_jacobian
from fisher_mlip.fisher.laplacian import Laplacian, curvatures, exact_laplacian, frame_totals
from fisher_mlip.fisher.score_matching import score_matched_theta, solved
from fisher_mlip.model import Checkpoint, evaluate, graph_of_frames, new_network
from fisher_mlip.units import BOLTZMANN_EV_PER_K
from tests.fisher.conftest import small_config

TEMPERATURE = 450.0
KT = BOLTZMANN_EV_PER_K * TEMPERATURE
# Atoms in U = stiffness x^2/2 + quartic x^4/4 along each coordinate; the base knows half of it.
STIFFNESS, QUARTIC, BASE_STIFFNESS = 2.0, 60.0, 1.0
TRUE = np.array([STIFFNESS - BASE_STIFFNESS, QUARTIC])
WATER = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])
SPRING = 8.0
ELEMENTS = [1, 8]


def oscillator_positions(n_frames: int, seed: int) -> Tensor:
    """Return (n_frames, 3) by exact rejection: the quartic only ever lowers a Gaussian."""
    generator = np.random.default_rng(seed)
    kept = np.zeros(0)
    while len(kept) < 3 * n_frames:
        x = generator.normal(0.0, math.sqrt(KT / STIFFNESS), 6 * n_frames)
        accepted = generator.random(len(x)) < np.exp(-QUARTIC * x**4 / (4 * KT))
        kept = np.concatenate([kept, x[accepted]])
    return torch.from_numpy(kept[: 3 * n_frames].reshape(-1, 3))


def oscillator_features(positions: Tensor) -> Tensor:
    """Return (n_frames, 2): x^2/2 and x^4/4 summed over a frame's one atom."""
    return torch.stack([(positions**2 / 2).sum(dim=1), (positions**4 / 4).sum(dim=1)], dim=1)


def oscillator_sums(n_frames: int, seed: int = 0, n_blocks: int = 20) -> BlockSums:
    x = oscillator_positions(n_frames, seed)
    axes = torch.eye(3, dtype=torch.float64)[:, None, :].expand(3, len(x), 3)
    laplacian = curvatures(oscillator_features, x, axes).sum(dim=0)
    parts = [
        one_block(
            torch.stack([part, part**3], dim=-1),
            Laplacian(values),
            BASE_STIFFNESS * part,
            -(STIFFNESS * part + QUARTIC * part**3),
        )
        for part, values in zip(
            x.tensor_split(n_blocks), laplacian.tensor_split(n_blocks), strict=True
        )
    ]
    return joined(parts)


def score_estimate(sums: BlockSums, moment: FloatArray) -> Estimate:
    return estimate(sums.gram, moment, sums.n_components, (0.0,))


def assert_recovers(found: Estimate, true: FloatArray, *, sharpness: float = 0.2) -> None:
    """Check theta within four error bars, and error bars that are small beside theta."""
    assert (found.standard_error < sharpness * np.abs(true).max()).all()
    assert (np.abs(found.theta - true) < 4 * found.standard_error).all(), found.theta


WRONG: dict[str, Callable[[BlockSums, float], FloatArray]] = {
    "sign": lambda sums, kt: -kt * sums.laplacian - sums.base,
    "sign of the base": lambda sums, kt: kt * sums.laplacian + sums.base,
    "beta squared": lambda sums, kt: kt**2 * sums.laplacian - sums.base,
    "no Laplacian": lambda sums, kt: -sums.base,
    "temperature": lambda sums, kt: 2 * kt * sums.laplacian - sums.base,
}


def test_known_theta_of_anharmonic_oscillators_is_recovered() -> None:
    sums = oscillator_sums(20000)
    assert_recovers(score_estimate(sums, sums.score_moment(TEMPERATURE)), TRUE)


@pytest.mark.parametrize("what", WRONG)
def test_sabotage_of_the_estimator_is_caught(what: str) -> None:
    sums = oscillator_sums(20000)
    with pytest.raises(AssertionError):
        assert_recovers(score_estimate(sums, WRONG[what](sums, KT)), TRUE)


def test_force_matching_of_the_same_sums_is_exact() -> None:
    sums = oscillator_sums(100)
    found = score_estimate(sums, sums.residual)
    np.testing.assert_allclose(found.theta, TRUE, rtol=1e-10)
    assert sums.force_rmse(found.theta) < 1e-6 < sums.force_rmse(np.zeros(2))


def test_error_bars_hold_over_many_samples() -> None:
    z = []
    for seed in range(60):
        sums = oscillator_sums(1000, seed)
        found = score_estimate(sums, sums.score_moment(TEMPERATURE))
        z.append((found.theta - TRUE) / found.standard_error)
    assert 0.6 < np.mean(np.square(z)) < 1.6


def test_error_shrinks_as_the_root_of_the_number_of_frames() -> None:
    def force_error(n_frames: int) -> float:
        sums = [oscillator_sums(n_frames, seed) for seed in range(8)]
        errors = [score_estimate(s, s.score_moment(TEMPERATURE)).force_error for s in sums]
        return float(np.mean(errors))

    assert force_error(500) / force_error(8000) == pytest.approx(4.0, rel=0.15)


def test_gain_without_forces_is_the_fall_of_the_force_error() -> None:
    sums = oscillator_sums(20000)
    gain = solved(sums, TEMPERATURE, 1e-6).score.path[0]
    true = sums.force_rmse(np.zeros(2)) ** 2 - sums.force_rmse(TRUE) ** 2
    assert abs(gain.gain - true) < 4 * gain.gain_error < 0.3 * true


def test_forces_show_the_temperature_and_so_does_a_right_model() -> None:
    sums = oscillator_sums(5000)
    found = solved(sums, 2 * TEMPERATURE)
    assert found.comparison is not None
    assert abs(found.comparison.temperature - TEMPERATURE) < 4 * found.comparison.temperature_error
    assert found.comparison.temperature_error < 0.05 * TEMPERATURE
    # The base model, too soft, would be as wide at a lower temperature.
    assert found.model_temperature + 4 * found.model_temperature_error < TEMPERATURE
    right = BlockSums(**{**vars(sums), "base": sums.base + sums.residual})
    again = solved(right, TEMPERATURE)
    assert again.model_temperature == pytest.approx(found.comparison.temperature)


def test_nothing_to_gain_keeps_the_model() -> None:
    sums = oscillator_sums(500)
    right = BlockSums(**{**vars(sums), "base": KT * sums.laplacian.mean(axis=0) + 0 * sums.base})
    found = solved(right, TEMPERATURE).score
    assert found.ridge is None
    assert not found.theta.any()


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(3)
    config = small_config(ELEMENTS)
    return Checkpoint(new_network(config).eval(), config)


def tethered(n_frames: int, seed: int = 0, temperature: float = TEMPERATURE) -> Frames:
    """Return three atoms on springs to fixed places, sampled exactly, with their forces."""
    kt = BOLTZMANN_EV_PER_K * temperature
    moved = np.random.default_rng(seed).normal(0, math.sqrt(kt / SPRING), (n_frames, 3, 3))
    numbers = np.array([8, 1, 1])
    return Frames(tuple(Frame(numbers, WATER + dx, forces=-SPRING * dx) for dx in moved))


def test_known_theta_of_a_network_is_recovered(checkpoint: Checkpoint) -> None:
    """U = springs + D theta: proposals from the springs alone, accepted by Metropolis."""
    network = checkpoint.network
    proposals = tethered(4000)
    graph = graph_of_frames(proposals, ELEMENTS, 3.0)
    with torch.no_grad():
        totals = frame_totals(network, graph)(graph.positions).numpy()
    centered = totals - totals.mean(axis=0)
    true = np.linalg.eigh(np.cov(centered.T))[1][:, -1]
    true *= 1.2 * KT / (centered @ true).std()
    chain, at = [], 0
    uniform = np.random.default_rng(1).random(len(totals))
    for k, energy in enumerate(totals @ true):
        if uniform[k] < math.exp(min(0.0, (totals[at] @ true - energy) / KT)):
            at = k
        chain.append(at)
    parts = []
    for indices in np.array_split(chain, 16):
        frames = proposals.subset(indices)
        part = graph_of_frames(frames, ELEMENTS, 3.0)
        springs = SPRING * torch.from_numpy(np.concatenate([f.positions - WATER for f in frames]))
        jacobian = feature_jacobian(network, part).displacement
        unknown = torch.full_like(springs, torch.nan)
        parts.append(one_block(jacobian, exact_laplacian(network, part), springs, unknown))
    sums = joined(parts)
    assert not sums.has_forces
    found = score_estimate(sums, sums.score_moment(TEMPERATURE))

    gram = sums.gram.sum(axis=0)
    factor = covariance_factor(found.left_out) @ gram @ true
    error, norm = math.sqrt((factor**2).sum()), float(true @ gram @ true)

    def assert_along(theta: FloatArray) -> None:
        """Check the forces of theta along the true ones; T can hardly tell some features."""
        assert error < 0.2 * norm
        assert abs(theta @ gram @ true - norm) < 3 * error

    assert_along(found.theta)
    for wrong in WRONG.values():
        with pytest.raises(AssertionError):
            assert_along(score_estimate(sums, wrong(sums, KT)).theta)


@pytest.mark.parametrize("atoms_per_batch", [180, 6])
def test_sums_are_those_of_the_network(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, atoms_per_batch: int
) -> None:
    monkeypatch.setattr("fisher_mlip.fisher.block_sums.ATOMS_PER_BATCH", atoms_per_batch)
    network, frames = checkpoint.network, tethered(7)
    seen: list[int] = []
    sums = block_sums(network, frames, ELEMENTS, n_blocks=3, advance=seen.append)
    assert sums.n_frames.tolist() == [3, 2, 2]
    assert seen == ([7] if atoms_per_batch == 180 else [2, 2, 2, 1])
    graph = graph_of_frames(frames, ELEMENTS, 3.0)
    g = feature_jacobian(network, graph).displacement.reshape(-1, 8).numpy()
    base = -evaluate(network, graph).forces.reshape(-1).numpy()
    residual = -np.concatenate([f.forces for f in frames if f.forces is not None]).ravel() - base
    laplacian = exact_laplacian(network, graph).values.numpy()
    for found in (sums, sums.merged(2)):
        rows = np.split(np.arange(len(g)), np.cumsum(9 * found.n_frames).astype(int)[:-1])
        for k, row in enumerate(rows):
            np.testing.assert_allclose(found.gram[k], g[row].T @ g[row], rtol=1e-9)
            np.testing.assert_allclose(found.base[k], g[row].T @ base[row], rtol=1e-9)
            np.testing.assert_allclose(found.residual[k], g[row].T @ residual[row], rtol=1e-9)
        np.testing.assert_allclose(found.laplacian.sum(axis=0), laplacian.sum(axis=0), rtol=1e-9)
    np.testing.assert_allclose(sums.laplacian[0], laplacian[:3].sum(axis=0), rtol=1e-9)
    assert sums.force_rmse(np.zeros(8)) == pytest.approx(math.sqrt(np.mean(residual**2)))


def assert_same_forces(sums: BlockSums, one: Estimate, other: Estimate | None) -> None:
    """Check that forces differ by no more than the statistical error of their difference."""
    assert other is not None
    gram = sums.gram.sum(axis=0)
    factor = covariance_factor(one.left_out - other.left_out)
    error = math.sqrt(((factor @ gram) * factor).sum())
    difference = one.theta - other.theta
    assert error < 0.1 * math.sqrt(other.theta @ gram @ other.theta)
    assert math.sqrt(difference @ gram @ difference) < 2.5 * error


@pytest.mark.parametrize("laplacian", ["exact", "hutchinson"])
def test_agrees_with_force_matching_from_end_to_end(
    checkpoint: Checkpoint, laplacian: LaplacianName
) -> None:
    found = score_matched_theta(
        checkpoint,
        tethered(900),
        TEMPERATURE,
        laplacian=laplacian,
        probes=4,
        ridge=1e-3,
        n_blocks=12,
    )
    assert_same_forces(found.sums, found.score, found.force_matched)
    assert (found.probe_share > 0) == (laplacian == "hutchinson")
    assert found.comparison is not None
    assert found.comparison.force_matched_rmse < found.comparison.base_rmse
    assert found.comparison.score_matched_rmse < found.comparison.base_rmse
    for wrong in (0.0, 2 * TEMPERATURE, -TEMPERATURE):
        sabotaged = solved(found.sums, wrong, 1e-3).score
        with pytest.raises(AssertionError):
            assert_same_forces(found.sums, sabotaged, found.force_matched)


def test_frames_without_forces_are_enough(checkpoint: Checkpoint) -> None:
    frames = tethered(30)
    bare = Frames(tuple(frame.relabelled(forces=None) for frame in frames))
    found = score_matched_theta(checkpoint, bare, TEMPERATURE, ridge=1e-2, n_blocks=3)
    labelled = score_matched_theta(checkpoint, frames, TEMPERATURE, ridge=1e-2, n_blocks=3)
    assert found.comparison is None
    assert found.force_matched is None
    assert np.array_equal(found.score.theta, labelled.score.theta)
    assert found.summary()["with_forces"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature above zero"),
        ({"temperature": math.nan}, "temperature above zero"),
        ({"ridge": -1.0}, "ridges of zero or more"),
        ({"n_blocks": 1}, "two blocks or more"),
        ({"laplacian": "hutchinson", "probes": 1}, "two probes or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    checkpoint: Checkpoint, options: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        score_matched_theta(
            checkpoint,
            tethered(2),
            **{"temperature": TEMPERATURE, **options},  # type: ignore[arg-type]
        )
