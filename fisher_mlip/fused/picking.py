"""A network's parameters in the order in which the operators in training read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from fisher_mlip.fused.couplings import LARGEST_DEGREE, layer_degrees
from fisher_mlip.fused.packing import (
    LANE_BYTES,
    FusedError,
    flat_panels,
    layer_maps,
    linear_parts,
    path_scales,
)
from fisher_mlip.model.interaction import Interaction
from fisher_mlip.model.network import EquivariantNetwork


@dataclass(frozen=True, eq=False)
class LayerTensors:
    """What the operators read of one layer, but for its radial functions.

    Attributes:
        into: the first map of its radial network, (width, n_basis).
        maps: its linear maps, flat.
        transposed: the same, each transposed; without a graph.
        radial: the last map of its radial network as the operators read it, flat.
    """

    into: Tensor
    maps: Tensor
    transposed: Tensor
    radial: Tensor


@dataclass(frozen=True, eq=False)
class Places:
    """Where numbers come from: index and scale, zero for what fills up to whole lanes."""

    index: Tensor
    scale: Tensor

    def moved(self, by: int) -> "Places":
        """Return the same out of a vector in which they come later."""
        return Places(self.index + by, self.scale)


class PickedParameters:
    """The parameters of a network's layers, picked anew at every call and differentiable.

    Args:
        network: whose layers they are.

    Attributes:
        sizes: of each layer, channels and degrees of its node features and of the new ones.

    Raises:
        FusedError: a degree that no layer is compiled for.
    """

    def __init__(self, network: EquivariantNetwork) -> None:
        dtype = network.energy_scale.dtype
        lanes = LANE_BYTES // dtype.itemsize
        layers = [layer for layer in network.layers if isinstance(layer, Interaction)]
        self.sizes = [_sizes(layer) for layer in layers]
        maps, turned, radial = [], [], []
        start = 0
        for layer in layers:
            of_maps, of_turned = _places_of_maps(layer, lanes)
            of_radial = _places_of_radial(layer, lanes)
            maps.append(of_maps.moved(start))
            turned.append(of_turned.moved(start))
            start += sum(part.weight.numel() for part in linear_parts(layer))
            radial.append(of_radial.moved(start))
            start += _last(layer).numel()
        self._both = _Picking([*maps, *radial], start, dtype)
        self._turned = _Picking(turned, start, dtype)

    def __call__(self, network: EquivariantNetwork) -> list[LayerTensors]:
        """Return what the operators read of each layer."""
        layers = [layer for layer in network.layers if isinstance(layer, Interaction)]
        weights = list(chain.from_iterable(_weights(layer) for layer in layers))
        picked = self._both(weights)
        turned = self._turned([weight.detach() for weight in weights])
        into = [next(iter(layer.radial.parameters())) for layer in layers]
        parts = into, picked[: len(layers)], turned, picked[len(layers) :]
        return [LayerTensors(*each) for each in zip(*parts, strict=True)]


class _Picking:
    """Numbers out of a flat vector, each in at most one place, in parts."""

    def __init__(self, parts: Sequence[Places], n_flat: int, dtype: torch.dtype) -> None:
        index = torch.cat([part.index for part in parts])
        scale = torch.cat([part.scale for part in parts])
        used = scale.nonzero()[:, 0]
        place = torch.zeros(n_flat, dtype=torch.int32)
        place[index[used]] = used.int()
        place_scale = torch.zeros(n_flat, dtype=torch.float64)
        place_scale[index[used]] = scale[used]
        self._given = index.int(), scale.to(dtype), place, place_scale.to(dtype)
        self._sizes = [len(part.index) for part in parts]

    def __call__(self, parameters: list[Tensor]) -> list[Tensor]:
        picked: list[Tensor] = torch.ops.fisher_mlip.pick(parameters, *self._given, self._sizes)
        return picked


def _sizes(layer: Interaction) -> tuple[int, int, int]:
    degrees = len(layer.product.dims) - 1, layer.gate.max_degree
    if degrees not in layer_degrees():
        raise FusedError(f"expected degrees up to {LARGEST_DEGREE}, found {max(degrees)}")
    return layer.gate.channels, *degrees


def _weights(layer: Interaction) -> list[Tensor]:
    return [*(part.weight for part in linear_parts(layer)), _last(layer)]


def _last(layer: Interaction) -> Tensor:
    """Return the last map of the radial network, (n_paths * channels, width)."""
    _, last = layer.radial.parameters()
    return last


def _places_of_maps(layer: Interaction, lanes: int) -> tuple[Places, Places]:
    """Pack ones and numbers in place of the weights, to see where each goes."""
    sizes = [part.weight.numel() for part in linear_parts(layer)]
    numbers = torch.arange(1, sum(sizes) + 1, dtype=torch.float64)
    scales = layer_maps(layer, torch.split(torch.ones_like(numbers), sizes), lanes)
    numbered = layer_maps(layer, torch.split(numbers, sizes), lanes)
    made = []
    for turn in (False, True):
        scale, number = (
            flat_panels([matrix.t() if turn else matrix for matrix in matrices], lanes)
            for matrices in (scales, numbered)
        )
        index = torch.where(scale == 0.0, 1.0, number / scale).round().long() - 1
        made.append(Places(index, scale))
    return made[0], made[1]


def _places_of_radial(layer: Interaction, lanes: int) -> Places:
    """Return where (n_blocks, n_paths, lanes; width) comes from: (paths, channels; width)."""
    channels, width = layer.gate.channels, _last(layer).shape[1]
    paths, scales = path_scales(layer)
    n_blocks = -(-channels // lanes)
    channel = torch.arange(n_blocks * lanes).reshape(n_blocks, 1, lanes)
    is_real = channel < channels
    row = torch.where(is_real, paths[None, :, None] * channels + channel, 0)
    scale = torch.where(is_real, scales[None, :, None], 0.0)
    index = row.reshape(-1, 1) * width + torch.arange(width)
    return Places(index.flatten(), scale.reshape(-1, 1).expand(-1, width).flatten())
