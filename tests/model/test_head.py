"""The head: invariance, linearity in theta, and its way to disk and back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fisher_mlip.config import HeadConfig, ModelConfig
from fisher_mlip.data.frames import Frame
from fisher_mlip.errors import InputError
from fisher_mlip.model import (
    Checkpoint,
    CheckpointConfig,
    build_graph,
    load_checkpoint,
    new_network,
    save_checkpoint,
)
from fisher_mlip.model.potential import network_inputs
from fisher_mlip.testing import low_symmetry_molecule, random_rotation

ELEMENTS = [1, 6, 7, 8]
HEADS = {
    "per-element": HeadConfig(kind="per-element"),
    "all-layers": HeadConfig(kind="all-layers"),
    "products": HeadConfig(kind="products", product_channels=3),
}
FRAME = Frame(*low_symmetry_molecule())
every_head = pytest.mark.parametrize("kind", sorted(HEADS))


def with_head(kind: str) -> Checkpoint:
    """Return a random model with a random theta and random product channels."""
    torch.manual_seed(1)
    config = CheckpointConfig(
        model=ModelConfig(
            features=4, max_degree=2, num_iterations=3, num_basis_functions=4, radial_width=4
        ),
        head=HEADS[kind],
        elements=ELEMENTS,
        reference_energies=dict.fromkeys(ELEMENTS, 0.0),
        dtype="float64",
    )
    network = new_network(config).eval()
    network.energy_scale.fill_(0.7)
    network.message_scale.fill_(0.35)
    assert network.head is not None
    network.head.theta.data = torch.randn_like(network.head.theta)
    for block in network.head.blocks:
        block.mixing.copy_(torch.randn_like(block.mixing))
    return Checkpoint(network, config)


def inputs(checkpoint: Checkpoint, frame: Frame = FRAME) -> tuple[Tensor, ...]:
    graph = build_graph(frame, ELEMENTS, 3.0)
    return network_inputs(checkpoint.network, graph, graph.positions, graph.cells)


def features(checkpoint: Checkpoint, frame: Frame) -> Tensor:
    with torch.no_grad():
        return checkpoint.network.last_layer_features(*inputs(checkpoint, frame))


def assert_invariant(checkpoint: Checkpoint) -> None:
    """Turn, mirror and renumber the atoms: features follow their atoms and nothing else."""
    expected = features(checkpoint, FRAME)
    for operation in (random_rotation(3), -random_rotation(4)):
        turned = Frame(FRAME.atomic_numbers, FRAME.positions @ operation.T)
        torch.testing.assert_close(features(checkpoint, turned), expected, atol=1e-11, rtol=1e-10)
    order = np.random.default_rng(0).permutation(FRAME.n_atoms)
    renumbered = Frame(FRAME.atomic_numbers[order], FRAME.positions[order])
    found = features(checkpoint, renumbered)
    torch.testing.assert_close(found, expected[order], atol=1e-11, rtol=1e-10)


@every_head
def test_features_are_invariant(kind: str) -> None:
    assert_invariant(with_head(kind))


@pytest.mark.parametrize("kind", ["all-layers", "products"])
def test_sabotage_a_component_left_out_of_the_sums_is_caught(kind: str) -> None:
    checkpoint = with_head(kind)
    layer_features = checkpoint.network.layer_features

    def without_the_last(*arguments: Tensor) -> list[Tensor]:
        nodes = layer_features(*arguments)
        nodes[0][:, -1] = 0.0
        return nodes

    checkpoint.network.layer_features = without_the_last  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        assert_invariant(checkpoint)


def assert_linear(checkpoint: Checkpoint, theta: Tensor) -> None:
    """The energy is that without a head, plus features times theta."""
    network = checkpoint.network
    with torch.no_grad():
        whole = network(*inputs(checkpoint))
        own = network.last_layer_features(*inputs(checkpoint)) @ theta
        network.head = None
        bare = network(*inputs(checkpoint))
    torch.testing.assert_close(whole, bare + own, atol=1e-12, rtol=0)


@every_head
def test_energy_of_the_head_is_features_times_theta(kind: str) -> None:
    checkpoint = with_head(kind)
    assert checkpoint.network.head is not None
    theta = checkpoint.network.head.theta.detach().flatten()
    assert_linear(checkpoint, theta)
    with pytest.raises(AssertionError):
        assert_linear(with_head(kind), theta.roll(1))


def test_columns_are_of_one_element_each() -> None:
    checkpoint = with_head("products")
    assert checkpoint.network.head is not None
    n = checkpoint.network.head.n_invariants
    found = features(checkpoint, FRAME).reshape(FRAME.n_atoms, len(ELEMENTS), n)
    own = torch.from_numpy(np.searchsorted(ELEMENTS, FRAME.atomic_numbers))
    filled = found.abs().sum(dim=2) > 0
    assert torch.equal(filled, torch.nn.functional.one_hot(own, len(ELEMENTS)).bool())
    # Three layers of 4 channels with degrees up to 2, 2, 0 and the readout; pairs of 3 channels
    # in each of the first two.
    assert n == 2 * (12 + 6 * 3) + 4 + 4


def test_degree_zero_and_one_layer_have_heads_too() -> None:
    for degree, layers in ((0, 2), (2, 1)):
        model = ModelConfig(
            features=4,
            max_degree=degree,
            num_iterations=layers,
            num_basis_functions=4,
            radial_width=4,
        )
        config = CheckpointConfig(
            model=model,
            head=HEADS["products"],
            elements=ELEMENTS,
            reference_energies=dict.fromkeys(ELEMENTS, 0.0),
            dtype="float64",
        )
        checkpoint = Checkpoint(new_network(config).eval(), config)
        assert checkpoint.network.head is not None
        width = len(ELEMENTS) * checkpoint.network.head.n_invariants
        assert features(checkpoint, FRAME).shape == (FRAME.n_atoms, width)


@every_head
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_checkpoint_round_trip(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    name = "float32" if dtype == torch.float32 else "float64"
    made = with_head(kind)
    config = made.config.model_copy(update={"dtype": name})
    made = Checkpoint(made.network.to(dtype), config)
    save_checkpoint(tmp_path, made)
    again = load_checkpoint(tmp_path)
    assert again.config == config
    assert again.network.head is not None
    assert torch.equal(again.network(*inputs(again)), made.network(*inputs(made)))
    plain = with_head(kind)
    plain_head = plain.network.head
    assert plain_head is not None
    plain_head.theta.data.zero_()
    plain.network.to(dtype)
    assert not torch.equal(plain.network(*inputs(plain)), made.network(*inputs(made)))


def test_another_head_is_not_put_over_these_weights(tmp_path: Path) -> None:
    made = with_head("products")
    save_checkpoint(tmp_path, made)
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text().replace("product_channels: 3", "product_channels: 2"))
    with pytest.raises(InputError, match="trained with head"):
        load_checkpoint(tmp_path)
