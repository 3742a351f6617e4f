"""Radial functions of an edge: a Bessel basis and an envelope smooth to every order."""

import math

import torch
from torch import Tensor


def bessel_basis(distances: Tensor, cutoff: float, n_functions: int) -> Tensor:
    """Return sqrt(2/r_c) sin(n pi r / r_c) / r for n = 1..n_functions.

    Args:
        distances: (n_edges,), Å, larger than zero.
        cutoff: r_c, Å.
        n_functions: size of the basis.

    Returns:
        (n_edges, n_functions), Å^-3/2.

    Source:
        Gasteiger, Gross, Günnemann, ICLR 2020 (DimeNet), eq. 7.
    """
    n = torch.arange(1, n_functions + 1, dtype=distances.dtype, device=distances.device)
    phases = distances[:, None] * (n * (math.pi / cutoff))
    return math.sqrt(2.0 / cutoff) * torch.sin(phases) / distances[:, None]


def smooth_envelope(distances: Tensor, cutoff: float) -> Tensor:
    """Return exp(1 - 1/(1 - (r/r_c)^2)) below the cutoff and 0 beyond it.

    All its derivatives vanish at the cutoff, so a pair that enters or leaves the list changes
    neither energy nor forces: an envelope of finite order makes the energy drift instead.

    Args:
        distances: (n_edges,), Å.
        cutoff: r_c, Å.

    Returns:
        (n_edges,), 1 at r = 0.
    """
    # 1 - 1e-6 rather than 1 keeps the reciprocal, and its derivatives, finite in float32.
    u = (distances / cutoff).clamp(max=1.0 - 1e-6)
    inside = torch.exp(1.0 - 1.0 / (1.0 - u * u))
    return torch.where(distances < cutoff, inside, torch.zeros_like(inside))
