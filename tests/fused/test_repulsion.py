"""The repulsion's operator on a GPU against the plain module: energies and slopes."""

import pytest
import torch
from torch import Tensor

from fisher_mlip.fused.network import FusedRepulsion
from fisher_mlip.model.repulsion import ScreenedRepulsion

from .conftest import DEVICES

ELEMENTS = [1, 6, 8]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


def edges(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return species, vectors, senders, receivers: lengths from inside the switch to beyond it."""
    generator = torch.Generator().manual_seed(0)
    n_atoms, n_edges = 12, 400
    directions = torch.randn((n_edges, 3), generator=generator, dtype=torch.float64)
    lengths = torch.linspace(0.1, 2.0, n_edges, dtype=torch.float64)
    vectors = lengths[:, None] * directions / directions.norm(dim=1, keepdim=True)
    receivers, senders = torch.randint(0, n_atoms, (2, n_edges), generator=generator)
    return torch.arange(n_atoms) % len(ELEMENTS), vectors.to(dtype), senders, receivers


def energies_and_slopes(
    module: torch.nn.Module, inputs: tuple[Tensor, ...], device: str
) -> tuple[Tensor, Tensor]:
    species, vectors, senders, receivers = (each.to(device) for each in inputs)
    vectors = vectors.clone().requires_grad_(True)
    energies = module.to(device)(species, vectors, senders, receivers)
    weights = torch.linspace(0.5, 1.5, len(energies), dtype=torch.float64, device=device)
    (slopes,) = torch.autograd.grad((weights * energies).sum(), vectors)
    return energies.detach().cpu(), slopes.double().cpu()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("device", DEVICES)
def test_it_is_the_plain_one(device: str, dtype: torch.dtype) -> None:
    plain = ScreenedRepulsion(ELEMENTS, 3.0).to(dtype)
    expected = energies_and_slopes(plain, edges(dtype), "cpu")
    found = energies_and_slopes(FusedRepulsion(plain), edges(dtype), device)
    for one, other in zip(found, expected, strict=True):
        worst = float((one - other).abs().max())
        scale = float(other.abs().max())
        assert worst <= TOLERANCE[dtype] * scale
        assert scale > 1.0
    wrong = FusedRepulsion(plain)
    wrong.tables *= 1.01
    wrong.plain.strength *= 1.01
    energies, _ = energies_and_slopes(wrong, edges(dtype), device)
    assert float((energies - expected[0]).abs().max()) > 1e-3 * float(expected[0].abs().max())
