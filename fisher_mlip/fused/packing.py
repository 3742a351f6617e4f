"""A layer's weights as the fused operators read them: tables of its radial functions, flat maps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from e3nn import o3
from torch import Tensor

from fisher_mlip.fused.couplings import (
    LARGEST_DEGREE,
    Path,
    compiled_paths,
    layer_degrees,
    paths_of,
)
from fisher_mlip.fused.jets import Jet, bessel_jet, distance_jet, envelope_jet, silu
from fisher_mlip.model.interaction import Interaction
from fisher_mlip.model.network import EquivariantNetwork

LANE_BYTES = 64
# Of a table's slopes, relative to the largest: ten times what float32 rounds.
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-11}
KNOTS_PER_FUNCTION = 8
MOST_KNOTS = 16384
# Of the functions that f, h f' and h^2 f''/2 are multiplied by, half-way between two knots.
HERMITE_SLOPES = ((-1.875, -0.4375, -0.0625), (1.875, -0.4375, 0.0625))


class FusedError(Exception):
    """A network that the fused operators do not serve; the reason in one sentence."""


@dataclass(frozen=True)
class PackedLayer:
    """What the operator `interaction` takes of one layer.

    Attributes:
        table: (n_knots, n_blocks, n_paths, 3, lanes): f, h f', h^2 f''/2 of each radial function.
        maps: all linear maps, flat: into the messages; out of them by degree; of the own features.
        transposed: the same, each transposed.
        table_error: the largest error of a slope between knots over the largest slope.
    """

    channels: int
    degree_in: int
    degree_out: int
    table: Tensor
    maps: Tensor
    transposed: Tensor
    table_error: float


def pack_layer(layer: Interaction, network: EquivariantNetwork, dtype: torch.dtype) -> PackedLayer:
    """Pack one layer of a network.

    Raises:
        FusedError: a degree that no layer is compiled for.
    """
    channels = layer.gate.channels
    degree_in, degree_out = len(layer.product.dims) - 1, layer.gate.max_degree
    if (degree_in, degree_out) not in layer_degrees():
        raise FusedError(f"expected degrees up to {LARGEST_DEGREE}, found {degree_in}")
    lanes = LANE_BYTES // dtype.itemsize
    table, error = _table(layer, network, lanes, TOLERANCE[dtype])
    maps = layer_maps(layer, [part.weight.detach().double() for part in linear_parts(layer)], lanes)
    return PackedLayer(
        channels=channels,
        degree_in=degree_in,
        degree_out=degree_out,
        table=table.to(dtype),
        maps=flat_panels(maps, lanes).to(dtype),
        transposed=flat_panels([matrix.t() for matrix in maps], lanes).to(dtype),
        table_error=error,
    )


def radial_functions(layer: Interaction, network: EquivariantNetwork) -> Callable[[Tensor], Jet]:
    """Return distances (n,) Å -> weights (n, n_paths, channels) of the couplings as compiled.

    They are those of `Interaction.forward`, with the scale of the messages.
    """
    index, scale = path_scales(layer)
    scale = scale * network.message_scale.double()
    into, out = (weight.detach().double() for weight in layer.radial.parameters())
    out = out.reshape(-1, layer.gate.channels, out.shape[1])[index] * scale[:, None, None]
    shape = out.shape[:2]

    def evaluate(distances: Tensor) -> Jet:
        r = distance_jet(distances)
        hidden = silu(bessel_jet(r, network.cutoff, network.n_basis).mapped(into))
        envelope = envelope_jet(r, network.cutoff).as_column()
        weights = hidden.mapped(out.flatten(0, 1)) * envelope
        return Jet(*(part.unflatten(1, shape) for part in vars(weights).values()))

    return evaluate


def path_scales(layer: Interaction) -> tuple[Tensor, Tensor]:
    """Return each compiled path's place among the radial network's, and the scale of its terms."""
    paths = paths_of(layer)
    compiled = compiled_paths(len(layer.product.dims) - 1, layer.gate.max_degree)
    scales = [_scale(path, other) for path, other in zip(paths, compiled, strict=True)]
    index = torch.tensor([path.index for path in paths])
    return index, torch.tensor(scales, dtype=torch.float64)


def _scale(path: Path, compiled: Path) -> float:
    """Return what the terms of a compiled path are to be multiplied by to be those of another."""
    assert [term[:3] for term in path.terms] == [term[:3] for term in compiled.terms]
    ratios = [
        path.scale * term[3] / other[3]
        for term, other in zip(path.terms, compiled.terms, strict=True)
    ]
    assert max(ratios) - min(ratios) < 1e-5 * abs(ratios[0])
    return ratios[0]


def _table(
    layer: Interaction, network: EquivariantNetwork, lanes: int, tolerance: float
) -> tuple[Tensor, float]:
    """Return a table fine enough for the tolerance, or as fine as may be, and its error."""
    functions = radial_functions(layer, network)
    n_knots = KNOTS_PER_FUNCTION * network.n_basis
    while True:
        step = network.cutoff / n_knots
        knots = _with_slopes(functions, torch.arange(n_knots + 1, dtype=torch.float64) * step)
        knots = knots * torch.tensor([1.0, step, 0.5 * step * step], dtype=torch.float64)
        error = _error_between(functions, knots, step)
        if error <= tolerance or n_knots >= MOST_KNOTS:
            break
        n_knots *= 2
    missing = -knots.shape[2] % lanes
    padded = torch.nn.functional.pad(knots, (0, 0, 0, missing))
    blocks = padded.reshape(*padded.shape[:2], -1, lanes, 3)  # knots, paths, blocks, lanes, 3
    return blocks.permute(0, 2, 1, 4, 3).contiguous(), error


def _with_slopes(functions: Callable[[Tensor], Jet], at: Tensor) -> Tensor:
    """Return f, f', f'' at distances (n,), (n, n_paths, channels, 3).

    At zero, where the formulas divide by it, they are continued from close by.
    """
    close = at.clamp(min=1e-4)
    found = functions(close)
    back = (at - close)[:, None, None]
    value = found.value + back * found.first + 0.5 * back.square() * found.second
    return torch.stack([value, found.first + back * found.second, found.second], dim=-1)


def _error_between(functions: Callable[[Tensor], Jet], knots: Tensor, step: float) -> float:
    """Return the largest error of a slope half-way between knots, over the largest slope."""
    middle = (torch.arange(len(knots) - 1, dtype=torch.float64) + 0.5) * step
    exact = _with_slopes(functions, middle)[1:, ..., 1]
    left, right = (torch.tensor(part, dtype=torch.float64) for part in HERMITE_SLOPES)
    made = (knots[1:-1] @ left + knots[2:] @ right) / step
    return float((made - exact).abs().max() / exact.abs().max())


def linear_parts(layer: Interaction) -> list[o3.Linear]:
    """Return the maps of a layer: into the messages, out of them, of the own features."""
    return [layer.mix_in, layer.mix_out, layer.self_connection]


def layer_maps(layer: Interaction, weights: Sequence[Tensor], lanes: int) -> list[Tensor]:
    """Return the matrices (from, to) in the order in which the operator reads them.

    Args:
        layer: whose maps they are.
        weights: of each of its `linear_parts`, flat, float64.
        lanes: to whose multiples the channels are padded.
    """
    groups = [1, layer.gate.max_degree + 1, layer.gate.max_degree + 1]
    return [
        matrix
        for part, weight, groups_out in zip(linear_parts(layer), weights, groups, strict=True)
        for _, matrix in sorted(_matrices(part, weight, lanes, groups_out=groups_out).items())
    ]


def flat_panels(matrices: Sequence[Tensor], lanes: int) -> Tensor:
    """Return matrices flat, each in panels of two lanes' columns, row by row."""
    panels = [panel for matrix in matrices for panel in torch.split(matrix, 2 * lanes, dim=1)]
    return torch.cat([panel.flatten() for panel in panels])


def _matrices(linear: o3.Linear, flat: Tensor, lanes: int, *, groups_out: int) -> dict[int, Tensor]:
    """Return the matrices by degree, channels padded with zeros to whole lanes.

    Args:
        linear: an e3nn map between multiples of the channels.
        flat: its weights.
        groups_out: how many times the channels the scalars of the result are.
    """
    found: dict[int, Tensor] = {}
    channels = linear.irreps_out[0].mul // groups_out
    for _, instruction, weight in linear.weight_views(flat, yield_instruction=True):
        degree = int(linear.irreps_in[instruction.i_in].ir.l)
        matrix = (weight * instruction.path_weight).reshape(
            weight.shape[0] // channels, channels, weight.shape[1] // channels, channels
        )
        missing = -channels % lanes
        matrix = torch.nn.functional.pad(matrix, (0, missing, 0, 0, 0, missing))
        whole = channels + missing
        matrix = matrix.reshape(matrix.shape[0] * whole, matrix.shape[2] * whole)
        found[degree] = found[degree] + matrix if degree in found else matrix
    return found
