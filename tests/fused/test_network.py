"""The fused network against the eager one: every kind of layer, both dtypes, shells, gradients."""

import pytest
import torch
from torch import Tensor

from fisher_mlip.config import ModelConfig
from fisher_mlip.export.shells import make_shells
from fisher_mlip.fused.network import FusedNetwork
from fisher_mlip.model.network import EquivariantNetwork, build_network

from .conftest import DEVICES

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}
N_ATOMS = 40


def network(dtype: torch.dtype, **changes: float) -> EquivariantNetwork:
    torch.manual_seed(0)
    config = ModelConfig(num_basis_functions=6, radial_width=16, **changes)  # type: ignore[arg-type]
    made = build_network(config, [1, 6, 8], dtype).eval()
    made.message_scale.fill_(0.4)
    return made.requires_grad_(False)


def edges(dtype: torch.dtype, cutoff: float = 3.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return species, vectors, senders, receivers; some edges are longer than the cutoff."""
    generator = torch.Generator().manual_seed(1)
    positions = 5.0 * torch.rand((N_ATOMS, 3), generator=generator, dtype=torch.float64)
    distances = (positions[:, None] - positions).norm(dim=2)
    near = ((distances < cutoff + 0.4) & (distances > 0.6)).nonzero()
    near = near[torch.randperm(len(near), generator=generator)]
    receivers, senders = near.t()
    vectors = (positions[senders] - positions[receivers]).to(dtype)
    return torch.arange(N_ATOMS) % 3, vectors, senders.contiguous(), receivers.contiguous()


def values_and_slopes(
    made: EquivariantNetwork, inputs: tuple[Tensor, Tensor, Tensor, Tensor], device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    species, vectors, senders, receivers = (each.to(device) for each in inputs)
    vectors = vectors.clone().requires_grad_(True)
    energies = made.to(device)(species, vectors, senders, receivers)
    (slopes,) = torch.autograd.grad(energies.sum(), vectors)
    return energies.detach().cpu(), slopes.double().cpu()


def check_same(found: Tensor, expected: Tensor, tolerance: float) -> None:
    assert found.shape == expected.shape
    worst = float((found - expected).abs().max())
    assert worst <= tolerance * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "changes",
    [
        {"features": 32, "max_degree": 2, "num_iterations": 3},
        {"features": 5, "max_degree": 2, "num_iterations": 2},
        {"features": 40, "max_degree": 1, "num_iterations": 3},
        {"features": 16, "max_degree": 0, "num_iterations": 2},
        {"features": 8, "max_degree": 3, "num_iterations": 3},
        {"features": 20, "max_degree": 3, "num_iterations": 1},
        {"features": 12, "max_degree": 2, "num_iterations": 4, "cutoff": 4.5},
    ],
    ids=str,
)
def test_energies_and_slopes_are_the_eager_networks(
    device: str, dtype: torch.dtype, changes: dict[str, float]
) -> None:
    eager = network(dtype, **changes)
    inputs = edges(dtype, changes.get("cutoff", 3.0))
    expected = values_and_slopes(eager, inputs)
    found = values_and_slopes(FusedNetwork(eager), inputs, device)
    for one, other in zip(found, expected, strict=True):
        check_same(one, other, TOLERANCE[dtype])
        with pytest.raises(AssertionError):
            check_same(1.001 * one, other, TOLERANCE[dtype])


@pytest.mark.parametrize("layer", range(3))
def test_sabotage_one_weight_is_seen(layer: int) -> None:
    """A map of any layer, as packed, changed in one entry by a tenth."""
    eager = network(torch.float64, features=8, max_degree=2, num_iterations=3)
    inputs = edges(torch.float64)
    expected = values_and_slopes(eager, inputs)[1]
    fused = FusedNetwork(eager)
    fused.layers[layer].maps[0] *= 1.1
    with pytest.raises(AssertionError):
        check_same(values_and_slopes(fused, inputs)[1], expected, 1e-9)


def test_features_of_every_layer_and_their_slopes() -> None:
    """Heads read them all: gradients come in at each layer, also of atoms without neighbors."""
    eager = network(torch.float64, features=8, max_degree=2, num_iterations=3)
    species, vectors, senders, receivers = edges(torch.float64)
    species = torch.cat([species, torch.tensor([0, 2])])
    found = []
    for made in (eager, FusedNetwork(eager)):
        x = vectors.clone().requires_grad_(True)
        nodes = made.layer_features(species, x, senders, receivers)
        total = sum(float(k + 1) * layer.square().sum() for k, layer in enumerate(nodes))
        assert isinstance(total, Tensor)
        (slopes,) = torch.autograd.grad(total, x)
        found.append([*nodes, slopes])
    for one, other in zip(*found, strict=True):
        check_same(one.detach(), other.detach(), 1e-9)


def test_shells_are_the_eager_networks() -> None:
    """As on a rank of LAMMPS: later layers are made of fewer atoms and receive fewer edges."""
    eager = network(torch.float64, features=8, max_degree=2, num_iterations=3)
    species, vectors, senders, receivers = edges(torch.float64)
    near = vectors.norm(dim=1) < 2.0
    arrays = [values.numpy() for values in (species, vectors[near], senders[near], receivers[near])]
    shells = make_shells(*arrays, n_own=6, n_layers=3)
    assert shells.atoms_within[0] < shells.atoms_within[1] < shells.atoms_within[2]
    found = []
    for made in (eager, FusedNetwork(eager)):
        x = torch.from_numpy(shells.edge_vectors).requires_grad_(True)
        nodes = made.nested_features(
            torch.from_numpy(shells.species),
            x,
            torch.from_numpy(shells.senders),
            torch.from_numpy(shells.receivers),
            shells.atoms_within,
            shells.edges_within,
        )
        total = torch.stack([layer.sum() for layer in nodes]).sum()
        found.append([*nodes, torch.autograd.grad(total, x)[0]])
    for one, other in zip(*found, strict=True):
        check_same(one.detach(), other.detach(), 1e-9)


def test_threads_change_no_bit() -> None:
    fused = FusedNetwork(network(torch.float32, features=16))
    inputs = edges(torch.float32)
    given = torch.get_num_threads()
    found = []
    try:
        for n_threads in (1, 2, 1):
            torch.set_num_threads(n_threads)
            found.append(values_and_slopes(fused, inputs))
    finally:
        torch.set_num_threads(given)
    assert all(
        torch.equal(*pair) for other in found[1:] for pair in zip(found[0], other, strict=True)
    )


def test_no_edges() -> None:
    fused = FusedNetwork(network(torch.float64, features=8))
    none = torch.zeros(0, dtype=torch.long)
    inputs = torch.tensor([0, 1]), torch.zeros((0, 3), dtype=torch.float64), none, none
    energies, slopes = values_and_slopes(fused, inputs)
    assert energies.shape == (2,)
    assert slopes.shape == (0, 3)
    assert bool(torch.isfinite(energies).all())


def test_what_does_not_fit_is_refused() -> None:
    fused = FusedNetwork(network(torch.float64, features=8))
    species, vectors, senders, receivers = edges(torch.float64)
    with pytest.raises(RuntimeError, match="expected edges of 40 atoms, found an atom 40"):
        fused(species, vectors, senders + 1, receivers)


def test_nan_stays_nan() -> None:
    fused = FusedNetwork(network(torch.float32, features=8))
    species, vectors, senders, receivers = edges(torch.float32)
    vectors[0] = torch.nan
    energies, _ = values_and_slopes(fused, (species, vectors, senders, receivers))
    assert bool(energies.isnan().any())
