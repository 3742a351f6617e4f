"""Heads on a network: attaching one, choosing its channels, and writing a solved theta into it."""

import numpy as np
import torch
from torch import Tensor

from fisher_mlip.config import HeadConfig, ModelConfig
from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.model.graph import graph_of_frames
from fisher_mlip.model.head import LayerInvariants, LinearHead, SampledHeads
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import network_inputs

ATOMS_PER_BATCH = 900


def head_within(kind: str, budget: int, model: ModelConfig, n_species: int) -> HeadConfig:
    """Return the head of that kind with the most product channels that `budget` features allow.

    Raises:
        InputError: a budget that not even one product channel fits in.
    """
    if kind != "products":
        return HeadConfig.model_validate({"kind": kind})
    sizes = [
        (n, LinearHead(HeadConfig(kind="products", product_channels=n), model, n_species))
        for n in range(1, model.features + 1)
    ]
    fitting = [n for n, head in sizes if n_species * head.n_invariants <= budget]
    if not fitting:
        least = n_species * sizes[0][1].n_invariants
        raise InputError(f"expected a budget of at least {least} features, found {budget}")
    return HeadConfig(kind="products", product_channels=fitting[-1])


def attach_head(
    network: EquivariantNetwork,
    config: HeadConfig,
    model: ModelConfig,
    frames: Frames,
    elements: list[int],
) -> None:
    """Give the network a head whose theta is zero, its product channels chosen on `frames`."""
    network.head = None
    if config.kind == "last-layer":
        return
    head = _empty_head(network, config, model, len(elements))
    if config.product_channels:
        _choose_channels(network, head, frames, elements)
    network.head = head


def keep_part_of_head(
    network: EquivariantNetwork, config: HeadConfig, model: ModelConfig, n_species: int
) -> None:
    """Replace the network's head by a smaller one with the same product channels, theta zero."""
    large = network.head
    assert large is not None
    if config.kind == "last-layer":
        network.head = None
        return
    head = _empty_head(network, config, model, n_species)
    for own, whole in zip(head.blocks, large.blocks, strict=False):
        assert isinstance(own, LayerInvariants)
        assert isinstance(whole, LayerInvariants)
        if own.product_channels > 0:
            own.mixing.copy_(whole.mixing)
    network.head = head


def _empty_head(
    network: EquivariantNetwork, config: HeadConfig, model: ModelConfig, n_species: int
) -> LinearHead:
    """Return a head for the network whose theta is zero, and float64 until it is solved for."""
    head = LinearHead(config, model, n_species).to(network.energy_scale)
    head.theta.data = head.theta.data.double()
    return head


@torch.no_grad()
def _choose_channels(
    network: EquivariantNetwork, head: LinearHead, frames: Frames, elements: list[int]
) -> None:
    """Set each block's mixing to the leading principal components of its channels.

    Channels of one degree are scaled to unit variance first; the covariance is summed over the
    components of a degree, so the mixing commutes with rotations.
    """
    blocks = [block for block in head.blocks if isinstance(block, LayerInvariants)]
    covariances = [
        torch.zeros((b.max_degree + 1, b.channels, b.channels), dtype=torch.float64) for b in blocks
    ]
    for batch in frames.batches(ATOMS_PER_BATCH):
        graph = graph_of_frames(batch, elements, network.cutoff).to(network.energy_scale.device)
        nodes = network.layer_features(
            *network_inputs(network, graph, graph.positions, graph.cells)
        )
        for covariance, block, features in zip(covariances, blocks, head.used(nodes), strict=True):
            _add_covariance(covariance, block, features, graph.species)
    for covariance, block in zip(covariances, blocks, strict=True):
        for degree in range(block.max_degree + 1):
            block.mixing[degree] = _principal(covariance[degree], block.product_channels).to(
                block.mixing
            )


def _add_covariance(
    covariance: Tensor, block: LayerInvariants, features: Tensor, species: Tensor
) -> None:
    """Add sum_m v v' of each degree; scalars about their mean for each element."""
    start, n = 0, block.channels
    for degree in range(block.max_degree + 1):
        width = 2 * degree + 1
        part = features[:, start : start + n * width].reshape(-1, n, width).double()
        start += n * width
        if degree == 0:
            for element in torch.unique(species):
                part[species == element] -= part[species == element].mean(dim=0)
        covariance[degree] += torch.einsum("nim,njm->ij", part, part).cpu()


def _principal(covariance: Tensor, n_channels: int) -> Tensor:
    scale = covariance.diagonal().clamp(min=1e-30).sqrt()
    _, vectors = torch.linalg.eigh(covariance / torch.outer(scale, scale))
    leading: Tensor = vectors.flip(1)[:, :n_channels].T / scale
    return leading


def set_samples(
    network: EquivariantNetwork, thetas: FloatArray, offsets: FloatArray, n_species: int
) -> None:
    """Give the network sampled heads.

    Args:
        network: with the head that thetas belong to.
        thetas: (n_samples, D), deviations from the solution.
        offsets: (n_samples, n_elements), eV, the energy offsets that go with each.
        n_species: of the network.
    """
    shared = network.head is None
    shape = (len(thetas), 1 if shared else n_species, -1)
    spread = torch.from_numpy(thetas).reshape(shape).expand(-1, n_species, -1)
    samples = SampledHeads(len(thetas), n_species, spread.shape[2]).to(network.energy_scale)
    samples.theta_samples.copy_(spread)
    samples.offset_samples.copy_(torch.from_numpy(offsets) / network.energy_scale.double().cpu())
    network.samples = samples


def set_theta(network: EquivariantNetwork, theta: FloatArray) -> None:
    """Write a solved theta (D,) into the network: its head's, or added to the readout.

    theta is in units of the features, which carry the energy scale.
    """
    found = torch.from_numpy(np.asarray(theta))
    if network.head is None:
        readout = network.readout
        readout.data = (readout.data.double() + found.to(readout.device)).to(readout)
    else:
        shape = network.head.theta
        network.head.theta.data = found.reshape(shape.shape).to(shape)
