"""A network's parameters in the order in which the operators read them, differentiably."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

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


@dataclass(frozen=True, eq=False)
class Picking:
    """Numbers picked out of a flat vector, each in at most one place, and scaled.

    Attributes:
        index: (n_picked,), of each number; any where `scale` is zero, up to whole lanes.
        scale: (n_picked,).
        place: (n_flat,), where each number went.
        place_scale: (n_flat,), of each number; zero where it went nowhere.
    """

    index: Tensor
    scale: Tensor
    place: Tensor
    place_scale: Tensor

    @classmethod
    def of(cls, index: Tensor, scale: Tensor, n_flat: int, dtype: torch.dtype) -> "Picking":
        """Return the picking of numbers by index, and the way back."""
        used = scale.nonzero()[:, 0]
        place = torch.zeros(n_flat, dtype=torch.long)
        place[index[used]] = used
        place_scale = torch.zeros(n_flat, dtype=torch.float64)
        place_scale[index[used]] = scale[used]
        return cls(index, scale.to(dtype), place, place_scale.to(dtype))

    def __call__(self, flat: Tensor) -> Tensor:
        """Return the numbers; indexing back is many times as fast as adding up by index."""
        picked: Tensor = _Picked.apply(flat, self)
        return picked


class _Picked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, flat: Tensor, picking: Picking) -> Tensor:
        ctx.picking = picking  # type: ignore[attr-defined]
        return flat[picking.index] * picking.scale

    @staticmethod
    def backward(ctx: FunctionCtx, *slopes: Tensor) -> tuple[Tensor, None]:
        picking: Picking = ctx.picking  # type: ignore[attr-defined]
        return slopes[0][picking.place] * picking.place_scale, None


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """How one layer's parameters are read.

    Attributes:
        sizes: channels, degree of the node features and of the new ones.
        n_functions: radial functions, of all paths, with those that fill up whole lanes.
        maps: the numbers of all linear maps out of the layer's flat parameters.
        transposed: the same of each map transposed, out of the picked `maps`.
        radial: the last map of the radial network, (n_functions, width), out of its own.
    """

    sizes: tuple[int, int, int]
    n_functions: int
    maps: Picking
    transposed: Tensor
    radial: Picking


def plan_layer(layer: Interaction, dtype: torch.dtype) -> LayerPlan:
    """Return how a layer's parameters are read.

    Raises:
        FusedError: a degree that no layer is compiled for.
    """
    degrees = len(layer.product.dims) - 1, layer.gate.max_degree
    if degrees not in layer_degrees():
        raise FusedError(f"expected degrees up to {LARGEST_DEGREE}, found {max(degrees)}")
    lanes = LANE_BYTES // dtype.itemsize
    maps, transposed = _plan_maps(layer, lanes, dtype)
    radial, n_functions = _plan_radial(layer, lanes, dtype)
    return LayerPlan((layer.gate.channels, *degrees), n_functions, maps, transposed, radial)


def flat_maps(layer: Interaction) -> Tensor:
    """Return the weights of a layer's linear maps, flat."""
    return torch.cat([part.weight for part in linear_parts(layer)])


def _plan_maps(layer: Interaction, lanes: int, dtype: torch.dtype) -> tuple[Picking, Tensor]:
    """Pack ones and numbers in place of the weights, to see where each goes."""
    sizes = [part.weight.numel() for part in linear_parts(layer)]
    starts = [0, *accumulate(sizes)]
    numbers = torch.arange(1, starts[-1] + 1, dtype=torch.float64)
    ones = layer_maps(layer, torch.ones_like(numbers).split(sizes), lanes)
    scale = flat_panels(ones, lanes)
    numbered = flat_panels(layer_maps(layer, numbers.split(sizes), lanes), lanes)
    index = torch.where(scale == 0.0, 1.0, numbered / scale).round().long() - 1
    places = iter(torch.arange(len(scale), dtype=torch.float64).split([m.numel() for m in ones]))
    turned = [_unpaneled(next(places), matrix.shape, lanes).t() for matrix in ones]
    return Picking.of(index, scale, starts[-1], dtype), flat_panels(turned, lanes).long()


def _unpaneled(flat: Tensor, shape: Sequence[int], lanes: int) -> Tensor:
    """Return the matrix (n, m) that `flat_panels` makes of, from what it makes."""
    rows, columns = shape
    widths = [min(2 * lanes, columns - k) for k in range(0, columns, 2 * lanes)]
    panels = flat.split([rows * width for width in widths])
    return torch.cat([panel.reshape(rows, -1) for panel in panels], dim=1)


def _plan_radial(layer: Interaction, lanes: int, dtype: torch.dtype) -> tuple[Picking, int]:
    """Return the picking of (n_blocks, n_paths, lanes; width) of (paths, channels; width)."""
    channels, width = layer.gate.channels, layer.radial[-1].weight.shape[1]
    paths, scales = path_scales(layer)
    n_blocks = -(-channels // lanes)
    channel = torch.arange(n_blocks * lanes).reshape(n_blocks, 1, lanes)
    row = paths[None, :, None] * channels + channel
    scale = torch.where(channel < channels, scales[None, :, None], 0.0)
    row = torch.where(channel < channels, row, 0)
    index = row.reshape(-1, 1) * width + torch.arange(width)
    spread = scale.reshape(-1, 1).expand(-1, width)
    n_flat = layer.radial[-1].weight.numel()
    return Picking.of(index.flatten(), spread.flatten(), n_flat, dtype), row.numel()
