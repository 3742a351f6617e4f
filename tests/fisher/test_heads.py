"""Heads on networks: their size, their product channels, and theta written into them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fisher_mlip.config import HeadConfig, ModelConfig
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.heads import attach_head, head_within, set_theta
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.model.head import LayerInvariants, LinearHead
from fisher_mlip.model.potential import network_inputs
from fisher_mlip.testing import random_rotation

ELEMENTS = [1, 6, 8]
MakeCheckpoint = Callable[..., Checkpoint]
MODEL = ModelConfig(features=4, max_degree=1, num_iterations=2)


def test_the_budget_is_used_and_not_exceeded() -> None:
    def size(config: HeadConfig) -> int:
        return 3 * LinearHead(config, MODEL, 3).n_invariants

    for budget in (60, 100, 10_000):
        config = head_within("products", budget, MODEL, 3)
        assert size(config) <= budget
        if config.product_channels < MODEL.features:
            more = config.model_copy(update={"product_channels": config.product_channels + 1})
            assert size(more) > budget
    least = size(HeadConfig(kind="products", product_channels=1))
    with pytest.raises(InputError, match=f"at least {least} features, found {least - 1}"):
        head_within("products", least - 1, MODEL, 3)
    assert head_within("all-layers", 1, MODEL, 3) == HeadConfig(kind="all-layers")


@pytest.mark.parametrize("kind", ["last-layer", "products"])
def test_a_new_head_changes_nothing_until_it_has_a_theta(
    random_checkpoint: MakeCheckpoint, ethanol_frames: Frames, kind: str
) -> None:
    checkpoint = random_checkpoint()
    graph = build_graph(ethanol_frames[0], ELEMENTS, 3.0)
    before = evaluate(checkpoint.network, graph)
    config = head_within(kind, 200, checkpoint.config.model, 3)
    attach_head(checkpoint.network, config, checkpoint.config.model, ethanol_frames, ELEMENTS)
    after = evaluate(checkpoint.network, graph)
    assert torch.equal(after.forces, before.forces)
    inputs = network_inputs(checkpoint.network, graph, graph.positions, graph.cells)
    features = checkpoint.network.last_layer_features(*inputs).sum(dim=0).detach()
    theta = np.random.default_rng(0).normal(size=len(features))
    set_theta(checkpoint.network, theta)
    changed = evaluate(checkpoint.network, graph)
    expected = float(before.energies[0] + features @ torch.from_numpy(theta))
    assert float(changed.energies[0]) == pytest.approx(expected, abs=1e-11)
    assert abs(expected - float(before.energies[0])) > 1e-3


def mixed(checkpoint: Checkpoint, frames: Frames) -> list[torch.Tensor]:
    config = HeadConfig(kind="products", product_channels=3)
    attach_head(checkpoint.network, config, checkpoint.config.model, frames, ELEMENTS)
    head = checkpoint.network.head
    assert head is not None
    return [b.mixing.clone() for b in head.blocks if isinstance(b, LayerInvariants)]


def test_product_channels_are_uncorrelated_and_of_unit_size(
    random_checkpoint: MakeCheckpoint, ethanol_frames: Frames
) -> None:
    checkpoint = random_checkpoint()
    mixing = mixed(checkpoint, ethanol_frames)[0][1]
    vectors = []
    for frame in ethanol_frames:
        graph = build_graph(frame, ELEMENTS, 3.0)
        inputs = network_inputs(checkpoint.network, graph, graph.positions, graph.cells)
        nodes = checkpoint.network.layer_features(*inputs)[0].detach()
        vectors.append(nodes[:, 4:16].reshape(-1, 4, 3))
    block = torch.cat(vectors)
    covariance = torch.einsum("nim,njm->ij", block, block)
    found = mixing @ covariance @ mixing.T
    spread = found - torch.diag(found.diagonal())
    assert float(spread.abs().max()) < 1e-10 * float(found.diagonal().max())
    # Principal components of channels of unit variance: the leading ones, largest first.
    correlation = covariance / torch.outer(*2 * [covariance.diagonal().sqrt()])
    expected = torch.linalg.eigvalsh(correlation).flip(0)[:3]
    torch.testing.assert_close(found.diagonal(), expected)


def test_product_channels_do_not_depend_on_how_frames_are_turned(
    random_checkpoint: MakeCheckpoint, ethanol_frames: Frames
) -> None:
    operation = random_rotation(5)
    turned = Frames(
        tuple(Frame(f.atomic_numbers, f.positions @ operation.T) for f in ethanol_frames)
    )
    few = ethanol_frames.subset(range(3))
    pairs = [mixed(random_checkpoint(), frames) for frames in (ethanol_frames, turned, few)]
    for first, second in zip(pairs[0], pairs[1], strict=True):
        # An eigenvector's sign is free.
        torch.testing.assert_close(first.abs(), second.abs(), atol=1e-8, rtol=1e-6)
    assert not torch.allclose(pairs[0][0].abs(), pairs[2][0].abs(), rtol=1e-3)
