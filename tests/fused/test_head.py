"""A head's quadratic forms against the eager head: every kind, both dtypes, each degree."""

import pytest
import torch
from torch import Tensor

from fisher_mlip.config import HeadConfig, ModelConfig
from fisher_mlip.fused.head import FusedHead
from fisher_mlip.fused.packing import FusedError
from fisher_mlip.model.head import LayerInvariants, LinearHead

from .conftest import DEVICES

N_ATOMS, N_SPECIES = 150, 3
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


def solved_head(dtype: torch.dtype, kind: str, n_layers: int = 3, **model: int) -> LinearHead:
    """Return a head with random theta and mixing, as a solution leaves it."""
    generator = torch.Generator().manual_seed(0)
    products = {"product_channels": min(5, model["features"])} if kind == "products" else {}
    config = HeadConfig.model_validate({"kind": kind, **products})
    head = LinearHead(config, ModelConfig(num_iterations=n_layers, **model), N_SPECIES)  # type: ignore[arg-type]
    head.theta.data = torch.randn(head.theta.shape, generator=generator, dtype=torch.float64)
    for block in head.blocks:
        assert isinstance(block, LayerInvariants)
        block.mixing.copy_(torch.randn(block.mixing.shape, generator=generator))
    head = head.requires_grad_(False).to(dtype)
    head.theta.data = head.theta.data.double()
    return head


def features(
    head: LinearHead, dtype: torch.dtype, n_layers: int, model: dict[str, int]
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    width = model["features"] * (model["max_degree"] + 1) ** 2
    widths = [width] * (n_layers - 1) + [model["features"], 2 * model["features"]]
    return [torch.randn((N_ATOMS, n), generator=generator).to(dtype) for n in widths]


def energies_and_slopes(
    head: LinearHead, nodes: list[Tensor], weights: Tensor, species: Tensor, device: str = "cpu"
) -> list[Tensor]:
    given = [layer.clone().to(device).requires_grad_(True) for layer in nodes]
    energies = head.to(device)(given, species.to(device))
    total = (weights.to(device) * energies).sum()
    slopes = torch.autograd.grad(total, given, materialize_grads=True)
    return [each.detach().cpu() for each in (energies, *slopes)]


def check_same(found: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        worst = float((one - other).abs().max())
        assert worst <= tolerance * max(1.0, float(other.abs().max()))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["per-element", "all-layers", "products"])
@pytest.mark.parametrize(
    "model",
    [
        {"features": 32, "max_degree": 2},
        {"features": 5, "max_degree": 3},
        {"features": 12, "max_degree": 1},
        {"features": 8, "max_degree": 0},
    ],
    ids=str,
)
def test_energies_and_slopes_are_the_eager_heads(
    device: str, dtype: torch.dtype, kind: str, model: dict[str, int]
) -> None:
    for n_layers in (1, 3):
        head = solved_head(dtype, kind, n_layers, **model)
        nodes = features(head, dtype, n_layers, model)
        species = torch.arange(N_ATOMS) % N_SPECIES
        weights = torch.linspace(0.5, 1.5, N_ATOMS, dtype=torch.float64)
        expected = energies_and_slopes(head, nodes, weights, species)
        fused = FusedHead(head)
        found = energies_and_slopes(fused, nodes, weights, species, device)
        check_same(found, expected, TOLERANCE[dtype])
        assert torch.equal(fused.cpu().invariants(nodes), head.invariants(nodes))
        with pytest.raises(AssertionError):
            check_same(energies_and_slopes(fused, nodes, weights, species.flip(0)), expected, 1e-3)


def test_sabotage_one_product_is_seen() -> None:
    model = {"features": 8, "max_degree": 2}
    head = solved_head(torch.float64, "products", **model)
    nodes = features(head, torch.float64, 3, model)
    species = torch.zeros(N_ATOMS, dtype=torch.long)
    weights = torch.ones(N_ATOMS, dtype=torch.float64)
    expected = energies_and_slopes(head, nodes, weights, species)
    first_product = 8 * 3
    head.theta[0, first_product + 1] *= 1.01
    with pytest.raises(AssertionError):
        check_same(energies_and_slopes(FusedHead(head), nodes, weights, species), expected, 1e-9)


def test_no_atoms_and_no_gradient() -> None:
    model = {"features": 8, "max_degree": 2}
    fused = FusedHead(solved_head(torch.float32, "products", **model))
    nodes = features(fused, torch.float32, 3, model)
    assert fused([layer[:0] for layer in nodes], torch.zeros(0, dtype=torch.long)).shape == (0,)
    species = torch.arange(N_ATOMS) % N_SPECIES
    made = fused(nodes, species)
    assert not made.requires_grad
    assert made.dtype == torch.float64


def test_what_does_not_fit_is_refused() -> None:
    model = {"features": 8, "max_degree": 2}
    fused = FusedHead(solved_head(torch.float64, "all-layers", **model))
    nodes = features(fused, torch.float64, 3, model)
    with pytest.raises(RuntimeError, match="expected species of 3 elements"):
        fused(nodes, torch.full((N_ATOMS,), N_SPECIES))
    with pytest.raises(RuntimeError, match="expected features of forms up to degree 3, 72 columns"):
        fused([layer[:, :-1] for layer in nodes], torch.zeros(N_ATOMS, dtype=torch.long))
    with pytest.raises(FusedError, match="expected a head of degrees up to 3, found 4"):
        FusedHead(solved_head(torch.float64, "all-layers", features=4, max_degree=4))
