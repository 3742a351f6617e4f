"""theta: exact recovery, brute-force least squares, null space, ridge."""

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.normal_equations import NormalEquations, from_jacobian
from fisher_mlip.fisher.solve import diagonalize, ridge_path, solve

N_ATOMS, D = 40, 6


def jacobian(seed: int = 0) -> FloatArray:
    """G with columns of very different size, as features have."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N_ATOMS, 3, D)) * np.array([1.0, 1e-3, 10.0, 0.1, 1.0, 100.0])


def equations(g: FloatArray, forces: FloatArray) -> NormalEquations:
    return from_jacobian(torch.from_numpy(g), torch.from_numpy(forces), 1)


def solved(g: FloatArray, forces: FloatArray, prior: FloatArray, ridge: float) -> FloatArray:
    sums = equations(g, forces)
    return solve(sums, diagonalize(sums), prior, ridge)


def test_true_theta_is_recovered_when_the_energy_is_linear() -> None:
    theta = np.array([0.3, -40.0, 0.02, 1.5, -0.7, 0.004])
    forces = -jacobian() @ theta
    np.testing.assert_allclose(solved(jacobian(), forces, np.zeros(D), 0.0), theta, rtol=1e-9)


def test_sabotage_the_sign_printed_in_the_report_does_not_recover_it() -> None:
    theta = np.array([0.3, -40.0, 0.02, 1.5, -0.7, 0.004])
    g = jacobian()
    gradient = (g @ theta).reshape(-1)
    flat = g.reshape(-1, D)
    printed = -np.linalg.solve(flat.T @ flat, flat.T @ gradient)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(printed, theta, rtol=1e-9)


def test_equals_brute_force_least_squares_on_noisy_forces() -> None:
    forces = np.random.default_rng(1).normal(size=(N_ATOMS, 3))
    expected = np.linalg.lstsq(-jacobian().reshape(-1, D), forces.reshape(-1))[0]
    found = solved(jacobian(), forces, np.ones(D), 0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_ridge_equals_augmented_least_squares() -> None:
    forces = np.random.default_rng(1).normal(size=(N_ATOMS, 3))
    prior, ridge = np.full(D, 0.5), 1e-2
    flat = jacobian().reshape(-1, D)
    scale = np.sqrt((flat**2).sum(axis=0))
    rows = np.concatenate([-flat, np.sqrt(ridge) * np.diag(scale)])
    targets = np.concatenate([forces.reshape(-1), np.sqrt(ridge) * scale * prior])
    expected = np.linalg.lstsq(rows, targets)[0]
    np.testing.assert_allclose(solved(jacobian(), forces, prior, ridge), expected, rtol=1e-8)


def test_null_space_is_reported_and_left_at_the_prior() -> None:
    g = jacobian()
    g[:, :, 2] = 2.0 * g[:, :, 0]  # dependent
    g[:, :, 4] = 0.0  # constant under motion
    theta = np.array([1.0, 2.0, 0.5, 3.0, 0.0, 0.01])
    sums = equations(g, -g @ theta)
    spectrum = diagonalize(sums)
    assert spectrum.rank == D - 2
    prior = np.full(D, 7.0)
    found = solve(sums, spectrum, prior, 0.0)
    assert found[4] == 7.0
    np.testing.assert_allclose(g @ found, g @ theta, atol=1e-9 * np.abs(g @ theta).max())


def test_huge_ridge_keeps_the_prior_and_no_degrees_of_freedom() -> None:
    forces = np.random.default_rng(1).normal(size=(N_ATOMS, 3))
    sums = equations(jacobian(), forces)
    spectrum = diagonalize(sums)
    prior = np.arange(D, dtype=float)
    np.testing.assert_allclose(solve(sums, spectrum, prior, 1e12), prior, atol=1e-8)
    assert spectrum.effective_degrees_of_freedom(1e12) < 1e-9
    assert spectrum.effective_degrees_of_freedom(0.0) == pytest.approx(D)


def test_path_gives_the_errors_of_its_thetas() -> None:
    rng = np.random.default_rng(2)
    theta = rng.normal(size=D) / np.array([1.0, 1e-3, 10.0, 0.1, 1.0, 100.0])
    noise = rng.normal(size=(2, N_ATOMS, 3))
    train = equations(jacobian(0), -jacobian(0) @ theta + noise[0])
    held = equations(jacobian(1), -jacobian(1) @ theta + noise[1])
    rows, spectrum = ridge_path(train, held, np.zeros(D), (1e-6, 1e-1))
    assert [row.ridge for row in rows] == [1e-6, 1e-1]
    assert rows[0].training_force_rmse <= rows[1].training_force_rmse
    found = solve(train, spectrum, np.zeros(D), 1e-1)
    residual = -jacobian(1) @ found - (-jacobian(1) @ theta + noise[1])
    assert rows[1].held_out_force_rmse == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-9)


def test_features_that_never_move_are_refused() -> None:
    with pytest.raises(InputError, match="features that move"):
        diagonalize(equations(np.zeros((2, 3, D)), np.ones((2, 3))))


def test_nan_is_refused() -> None:
    with pytest.raises(InputError, match="expected finite normal equations"):
        diagonalize(equations(np.full((2, 3, D), np.nan), np.ones((2, 3))))


def test_negative_ridge_is_refused() -> None:
    with pytest.raises(InputError, match="ridge of zero or more"):
        solved(jacobian(), np.ones((N_ATOMS, 3)), np.zeros(D), -1.0)
