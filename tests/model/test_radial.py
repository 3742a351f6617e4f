"""Bessel basis and envelope."""

import math

import pytest
import torch

from fisher_mlip.model.radial import bessel_basis, smooth_envelope


def test_bessel_functions_are_orthonormal_on_the_ball() -> None:
    r = torch.linspace(1e-6, 3.0, 200_001, dtype=torch.float64)
    basis = bessel_basis(r, 3.0, 4)
    # Weighted by r^2, sqrt(2/c) sin(n pi r/c)/r are orthonormal on [0, c].
    overlap = torch.trapezoid(
        basis[:, :, None] * basis[:, None, :] * r[:, None, None] ** 2, r, dim=0
    )
    assert torch.allclose(overlap, torch.eye(4, dtype=torch.float64), atol=1e-6)


def test_envelope_is_one_at_the_origin_and_zero_from_the_cutoff_on() -> None:
    r = torch.tensor([0.0, 3.0, 3.5, 100.0], dtype=torch.float64)
    assert smooth_envelope(r, 3.0).tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_envelope_derivatives_vanish_at_the_cutoff(order: int) -> None:
    assert abs(_derivative(lambda r: smooth_envelope(r, 3.0), 3.0 * (1 - 1e-3), order)) < 1e-100


def test_a_cosine_envelope_would_fail_the_same_check() -> None:
    def cosine(r: torch.Tensor) -> torch.Tensor:
        return 0.5 * (1 + torch.cos(math.pi * r / 3.0))

    assert abs(_derivative(cosine, 3.0 * (1 - 1e-3), 2)) > 0.1


def test_second_derivative_is_finite_in_float32_up_to_the_cutoff() -> None:
    r = torch.linspace(2.9, 3.0, 10_001, dtype=torch.float32, requires_grad=True)
    (slope,) = torch.autograd.grad(smooth_envelope(r, 3.0).sum(), r, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), r)
    assert bool(torch.isfinite(curvature).all())


def _derivative(function, at: float, order: int) -> float:  # type: ignore[no-untyped-def]
    x = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    value = function(x)
    for _ in range(order):
        (value,) = torch.autograd.grad(value, x, create_graph=True)
    return float(value.detach())
