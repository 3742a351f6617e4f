"""theta: exact recovery, brute-force least squares, null space, ridge, energies and virials."""

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.normal_equations import NormalEquations
from fisher_mlip.fisher.solve import (
    LabelWeights,
    LinearSystem,
    diagonalize,
    fitted_offsets,
    linear_system,
    solve,
    without_offsets,
)
from fisher_mlip.fisher.sums import Sums
from tests.fisher.conftest import sums_over

N_ROWS, D, N_ELEMENTS = 120, 6, 3
SIZES = np.array([1.0, 1e-3, 10.0, 0.1, 1.0, 100.0])
THETA = np.array([0.3, -40.0, 0.02, 1.5, -0.7, 0.004])


def jacobian(seed: int = 0, n_rows: int = N_ROWS) -> FloatArray:
    """G with columns of very different size, as features have."""
    return np.random.default_rng(seed).normal(size=(n_rows, D)) * SIZES


def sums_of(rows: FloatArray, residuals: FloatArray, weights: FloatArray | None = None) -> Sums:
    ones = np.ones(len(rows)) if weights is None else weights
    return sums_over(*(torch.from_numpy(x) for x in (rows, residuals, ones)))


def system_of(rows: FloatArray, residuals: FloatArray) -> LinearSystem:
    none = Sums.zeros(D)
    equations = NormalEquations(sums_of(rows, residuals), none, none, 1)
    return linear_system(equations, LabelWeights())


def solved(rows: FloatArray, residuals: FloatArray, ridge: float) -> FloatArray:
    system = system_of(rows, residuals)
    return solve(system, diagonalize(system), ridge)


def test_true_theta_is_recovered_when_the_energy_is_linear() -> None:
    """F - F_model = -G theta: the residual forces of an energy linear in the features."""
    np.testing.assert_allclose(solved(jacobian(), -jacobian() @ THETA, 0.0), THETA, rtol=1e-9)


def test_sabotage_the_sign_printed_in_the_report_does_not_recover_it() -> None:
    g = jacobian()
    gradient = g @ THETA
    printed = -np.linalg.solve(g.T @ g, g.T @ gradient)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(printed, THETA, rtol=1e-9)


def test_equals_brute_force_least_squares_on_noisy_forces() -> None:
    forces = np.random.default_rng(1).normal(size=N_ROWS)
    expected = np.linalg.lstsq(-jacobian(), forces)[0]
    np.testing.assert_allclose(solved(jacobian(), forces, 0.0), expected, rtol=1e-8)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(solved(jacobian(), forces, 1e-3), expected, rtol=1e-4)


def test_ridge_equals_augmented_least_squares() -> None:
    """Toward zero, which is the pretrained model; relative to the scaled diagonal."""
    forces, ridge = np.random.default_rng(1).normal(size=N_ROWS), 1e-2
    scale = np.sqrt((jacobian() ** 2).sum(axis=0))
    rows = np.concatenate([-jacobian(), np.sqrt(ridge) * np.diag(scale)])
    targets = np.concatenate([forces, np.zeros(D)])
    expected = np.linalg.lstsq(rows, targets)[0]
    np.testing.assert_allclose(solved(jacobian(), forces, ridge), expected, rtol=1e-8)


def test_null_space_is_reported_and_left_at_zero() -> None:
    g = jacobian()
    g[:, 4] = 0.0  # constant under motion
    theta = THETA.copy()
    theta[4] = 7.0
    system = system_of(g, -g @ theta)
    spectrum = diagonalize(system)
    assert spectrum.rank == D - 1
    found = solve(system, spectrum, 0.0)
    assert found[4] == 0.0
    theta[4] = 0.0
    np.testing.assert_allclose(found, theta, rtol=1e-8)


def test_features_that_are_one_another_share() -> None:
    g = jacobian()
    g[:, 2] = -2.0 * g[:, 0]
    system = system_of(g, -g @ THETA)
    spectrum = diagonalize(system)
    assert spectrum.rank == D - 1
    found = solve(system, spectrum, 0.0)
    np.testing.assert_allclose(g @ found, g @ THETA, atol=1e-9 * np.abs(g @ THETA).max())
    # Least in the scaled norm: both halves do the same work.
    assert found[0] == pytest.approx(-2.0 * found[2], rel=1e-6)


def test_fewer_rows_than_features_solve_within_their_rank() -> None:
    rows = jacobian(n_rows=4)
    system = system_of(rows, -rows @ THETA)
    spectrum = diagonalize(system)
    assert spectrum.rank == 4
    found = solve(system, spectrum, 0.0)
    np.testing.assert_allclose(rows @ found, rows @ THETA, rtol=1e-6)
    scale = np.sqrt((rows**2).sum(axis=0))
    expected = np.linalg.pinv(rows / scale) @ (rows @ THETA) / scale
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_huge_ridge_keeps_the_base_and_no_degrees_of_freedom() -> None:
    forces = np.random.default_rng(1).normal(size=N_ROWS)
    system = system_of(jacobian(), forces)
    spectrum = diagonalize(system)
    np.testing.assert_allclose(solve(system, spectrum, 1e12), 0.0, atol=1e-8)
    assert spectrum.effective_degrees_of_freedom(1e12) < 1e-9
    assert spectrum.effective_degrees_of_freedom(0.0) == pytest.approx(D)
    assert np.mean(spectrum.values) == pytest.approx(1.0)
    assert spectrum.condition == pytest.approx(spectrum.values[-1] / spectrum.values[0])


def labelled(seed: int = 3) -> tuple[list[tuple[FloatArray, FloatArray]], NormalEquations]:
    """Return rows and residuals of forces, energies (with composition columns) and virials."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 5, size=(20, N_ELEMENTS)) * 1.0
    counts /= counts.sum(axis=1, keepdims=True)
    rows = [
        jacobian(0),
        np.concatenate([jacobian(1, 20), -counts], axis=1),
        jacobian(2, 12),
    ]
    parts = [(a, rng.normal(size=len(a))) for a in rows]
    return parts, NormalEquations(*(sums_of(*part) for part in parts), n_frames=20)


@pytest.mark.parametrize(("energy", "virial"), [(0.0, 0.0), (2.0, 0.0), (0.0, 0.3), (5.0, 0.7)])
def test_label_weights_equal_brute_force_weighted_least_squares(
    energy: float, virial: float
) -> None:
    """Mean squares of each kind of label, weighted, over theta and the energy offsets jointly."""
    parts, equations = labelled()
    system = linear_system(equations, LabelWeights(energy, virial))
    found = solve(system, diagonalize(system), 0.0)

    def joint(energy: float, virial: float) -> FloatArray:
        rows, targets = [], []
        for (a, r), weight in zip(parts, (1.0, energy, virial), strict=True):
            wide = np.zeros((len(a), D + N_ELEMENTS))
            wide[:, : a.shape[1]] = a
            rows.append(wide * np.sqrt(weight / len(a)))
            targets.append(-r * np.sqrt(weight / len(a)))
        return np.asarray(np.linalg.lstsq(np.concatenate(rows), np.concatenate(targets))[0])

    expected = joint(energy, virial)
    np.testing.assert_allclose(found, expected[:D], rtol=1e-7)
    offsets = fitted_offsets(equations.energies, found)
    if energy:
        np.testing.assert_allclose(offsets, expected[D:], rtol=1e-6)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(found, joint(1.1 * energy + 0.1, virial)[:D], rtol=1e-4)


def test_without_offsets_is_the_joint_solve() -> None:
    _, equations = labelled()
    alone = without_offsets(equations.energies, D)
    joint = np.linalg.solve(equations.energies.gram, equations.energies.moment)
    found = np.linalg.solve(alone.gram, alone.moment)
    np.testing.assert_allclose(found, joint[:D], rtol=1e-8)
    assert alone.rms(found) == pytest.approx(equations.energies.rms(joint), rel=1e-9)
    features = slice(0, D)
    coupled = equations.energies.gram[features, features]
    with pytest.raises(AssertionError):
        left_in = np.linalg.solve(coupled, equations.energies.moment[features])
        np.testing.assert_allclose(left_in, joint[:D], rtol=1e-2)


def test_offsets_of_one_composition_are_of_least_norm() -> None:
    """Frames of one composition fix one sum: element shifts in proportion to the counts."""
    counts = np.tile(np.array([6.0, 2.0, 1.0]) / 9.0, (50, 1))
    rows = np.concatenate([np.zeros((50, D)), -counts], axis=1)
    energies = sums_of(rows, np.full(50, 0.1))
    offsets = fitted_offsets(energies, np.zeros(D))
    np.testing.assert_allclose(counts[0] @ offsets, 0.1, rtol=1e-9)
    np.testing.assert_allclose(offsets / offsets[2], [6.0, 2.0, 1.0], rtol=1e-9)
    assert not fitted_offsets(Sums.zeros(D + N_ELEMENTS), np.zeros(D)).any()


@pytest.mark.parametrize("weights", [LabelWeights(energy=1.0), LabelWeights(virial=1.0)])
def test_a_weight_for_labels_that_are_not_there_is_refused(weights: LabelWeights) -> None:
    forces = sums_of(jacobian(), np.ones(N_ROWS))
    equations = NormalEquations(forces, Sums.zeros(D + 3), Sums.zeros(D), 1)
    with pytest.raises(InputError, match=r"labels for the (energy|virial) weight, found none"):
        linear_system(equations, weights)


def test_features_that_never_move_are_refused() -> None:
    with pytest.raises(InputError, match="features that move"):
        diagonalize(system_of(np.zeros((6, D)), np.ones(6)))


def test_nan_is_refused() -> None:
    with pytest.raises(InputError, match="expected finite normal equations"):
        system_of(np.full((6, D), np.nan), np.ones(6))


@pytest.mark.parametrize("ridge", [-1.0, np.inf, np.nan])
def test_a_ridge_that_cannot_be_is_refused(ridge: float) -> None:
    with pytest.raises(InputError, match="ridge of zero or more"):
        solved(jacobian(), np.ones(N_ROWS), ridge)


def test_no_more_directions_are_known_than_there_are_rows() -> None:
    """What rounding leaves of rows that were taken out again is nothing known."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2, 6))
    left = 1e-6 * rng.normal(size=(6, 6))
    gram = rows.T @ rows + left @ left.T
    assert diagonalize(LinearSystem(gram, gram[0])).rank > 2
    assert diagonalize(LinearSystem(gram, gram[0], 2)).rank == 2


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_weights_that_make_no_sense_are_refused(weight: float) -> None:
    forces = sums_over(*(torch.ones(shape, dtype=torch.float64) for shape in ((4, D), 4, 4)))
    equations = NormalEquations(forces, Sums.zeros(D + 3), Sums.zeros(D), 1)
    with pytest.raises(InputError, match="expected a finite virial weight"):
        linear_system(equations, LabelWeights(virial=weight))
