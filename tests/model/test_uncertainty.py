"""Spread of sampled heads: against heads evaluated one by one, exported, and differentiated."""

import copy

import numpy as np
import pytest
import torch

from fisher_mlip.config import HeadConfig, ModelConfig
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.model import Checkpoint, CheckpointConfig, evaluate, graph_of_frames, new_network
from fisher_mlip.model.graph import Graph
from fisher_mlip.model.uncertainty import estimate_uncertainty
from fisher_mlip.testing import low_symmetry_molecule

ELEMENTS = [1, 6, 7, 8]


@pytest.fixture(scope="module", params=["last-layer", "per-element", "all-layers", "products"])
def model(request: pytest.FixtureRequest) -> Checkpoint:
    head = HeadConfig(kind=request.param, product_channels=2 * (request.param == "products"))
    config = CheckpointConfig(
        model=ModelConfig(features=4, num_iterations=2, num_basis_functions=4, radial_width=4),
        head=head,
        sampled_heads=6,
        elements=ELEMENTS,
        reference_energies=dict.fromkeys(ELEMENTS, 0.0),
        dtype="float64",
    )
    torch.manual_seed(1)
    network = new_network(config).eval()
    assert network.samples is not None
    network.energy_scale.fill_(1.3)
    shape = network.samples.theta_samples.shape
    if head.kind == "last-layer":
        shape = torch.Size([shape[0], 1, shape[2]])
    network.samples.theta_samples.copy_(torch.randn(shape).expand_as(network.samples.theta_samples))
    network.samples.offset_samples.normal_()
    return Checkpoint(network, config)


@pytest.fixture(scope="module")
def graph() -> Graph:
    numbers, positions = low_symmetry_molecule()
    rng = np.random.default_rng(0)
    frames = [Frame(numbers, positions + 0.05 * rng.normal(size=positions.shape)) for _ in range(2)]
    return graph_of_frames(Frames(tuple(frames)), ELEMENTS, 3.0)


def one_by_one(model: Checkpoint, graph: Graph) -> tuple[torch.Tensor, torch.Tensor]:
    """Return energies and forces of each sampled head less those of the model itself."""
    base = evaluate(model.network, graph)
    energies, forces = [], []
    samples = model.network.samples
    assert samples is not None
    for theta, offset in zip(samples.theta_samples, samples.offset_samples, strict=True):
        network = copy.deepcopy(model.network)
        if network.head is None:
            network.readout.data += theta[0]
        else:
            network.head.theta.data += theta
        network.shift.data += offset * network.energy_scale
        found = evaluate(network, graph)
        energies.append(found.energies - base.energies)
        forces.append(found.forces - base.forces)
    return torch.stack(energies), torch.stack(forces)


def test_is_the_spread_of_heads_evaluated_one_by_one(model: Checkpoint, graph: Graph) -> None:
    energies, forces = one_by_one(model, graph)
    found = estimate_uncertainty(model.network, graph)
    torch.testing.assert_close(found.energies, energies.square().mean(0).sqrt())
    expected = forces.square().sum(dim=2).mean(dim=0).sqrt()
    torch.testing.assert_close(found.forces, expected)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(found.forces, 1.001 * expected)


def test_energies_alone_cost_no_derivative(model: Checkpoint, graph: Graph) -> None:
    found = estimate_uncertainty(model.network, graph, forces=False)
    assert found.forces is None
    assert not found.energies.requires_grad


def test_is_differentiable_by_positions(model: Checkpoint, graph: Graph) -> None:
    def spread(positions: torch.Tensor) -> torch.Tensor:
        moved = Graph(**{**graph.__dict__, "positions": positions})
        found = estimate_uncertainty(model.network, moved, differentiable=True)
        assert found.forces is not None
        return torch.cat([found.energies, found.forces])

    positions = graph.positions.clone().requires_grad_(True)
    direction = torch.randn(positions.shape, dtype=torch.float64, generator=None)
    (gradient,) = torch.autograd.grad(spread(positions).sum(), positions)
    step = 1e-5
    ahead, behind = (spread(graph.positions + s * step * direction).sum().item() for s in (1, -1))
    slope = (ahead - behind) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-5)


def test_does_not_change_under_rotation(model: Checkpoint, graph: Graph) -> None:
    from fisher_mlip.testing import random_rotation

    rotation = torch.from_numpy(random_rotation(3))
    turned = Graph(**{**graph.__dict__, "positions": graph.positions @ rotation.T})
    before, after = (estimate_uncertainty(model.network, g) for g in (graph, turned))
    torch.testing.assert_close(before.forces, after.forces)
    torch.testing.assert_close(before.energies, after.energies)


def test_a_model_without_samples_is_refused(model: Checkpoint, graph: Graph) -> None:
    bare = copy.deepcopy(model.network)
    bare.samples = None
    with pytest.raises(InputError, match="sampled heads to tell its uncertainty"):
        estimate_uncertainty(bare, graph)
