"""Laplacians of the summed last-layer features: exact, or by Hutchinson's random probes.

Both are second derivatives along directions, by forward mode over forward mode: all D features at
once, where forward over reverse would cost as much for each of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vmap
from torch.overrides import TorchFunctionMode

from fisher_mlip.errors import InputError
from fisher_mlip.model.graph import Graph
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import network_inputs, sum_by_frame

EDGES_AT_ONCE = 4000


@dataclass(frozen=True, eq=False)
class Laplacian:
    """Laplacians over all coordinates of a frame.

    Attributes:
        values: (n_frames, D), the sum of d2D/dx2, eV/Å^2, float64.
        standard_error: (n_frames, D), of values by random probes; None where they are exact.
    """

    values: Tensor
    standard_error: Tensor | None = None

    def of(self, chosen: Tensor) -> "Laplacian":
        """Return the frames where `chosen` (n_frames,) holds."""
        error = self.standard_error
        return Laplacian(self.values[chosen], None if error is None else error[chosen])


def exact_laplacian(network: EquivariantNetwork, graph: Graph) -> Laplacian:
    """Return the Laplacians from a second derivative along each coordinate of a frame.

    Frames do not interact, so one direction moves the same coordinate of every frame.

    Args:
        network: the model; only its features matter.
        graph: one or more frames.
    """
    count = graph.atoms_per_frame()
    first = torch.cumsum(count, 0) - count
    place = torch.arange(graph.n_atoms, device=count.device) - first[graph.frame_index]
    total: Tensor | None = None
    for part in torch.split(
        torch.arange(3 * int(count.max()), device=count.device), _at_once(graph)
    ):
        moved = place[None, :, None] * 3 + torch.arange(3, device=count.device)
        directions = (moved == part[:, None, None]).to(graph.positions.dtype)
        added = curvatures(frame_totals(network, graph), graph.positions, directions).sum(dim=0)
        total = added if total is None else total + added
    assert total is not None
    return Laplacian(total)


def hutchinson_laplacian(
    network: EquivariantNetwork, graph: Graph, n_probes: int, generator: torch.Generator
) -> Laplacian:
    """Return the mean of v'Hv over probes v of random signs: unbiased, tr H = E[v'Hv].

    Args:
        network: the model; only its features matter.
        graph: one or more frames; each has its own probes.
        n_probes: two at least, for the standard error.
        generator: of the signs, on the CPU.

    Raises:
        InputError: fewer than two probes.

    Source:
        M. F. Hutchinson, Commun. Stat. Simul. Comput. 18, 1059 (1989).
    """
    if n_probes < 2:
        raise InputError(f"expected two probes or more, found {n_probes}")
    bits = torch.randint(0, 2, (n_probes, graph.n_atoms, 3), generator=generator)
    signs = (2 * bits - 1).to(graph.positions)
    parts = [
        curvatures(frame_totals(network, graph), graph.positions, part)
        for part in torch.split(signs, _at_once(graph))
    ]
    estimates = torch.cat(parts)
    return Laplacian(estimates.mean(dim=0), estimates.std(dim=0) / n_probes**0.5)


def frame_totals(network: EquivariantNetwork, graph: Graph) -> Callable[[Tensor], Tensor]:
    """Return the map from positions (n_atoms, 3) to features summed over frames, float64."""

    def totals(positions: Tensor) -> Tensor:
        inputs = network_inputs(network, graph, positions, graph.cells)
        return sum_by_frame(network.last_layer_features(*inputs).double(), graph)

    return totals


@torch.no_grad()
def curvatures(totals: Callable[[Tensor], Tensor], positions: Tensor, directions: Tensor) -> Tensor:
    """Return the second derivative of `totals` along each direction.

    Args:
        totals: from positions (n_atoms, 3) to any shape.
        positions: (n_atoms, 3), Å.
        directions: (n_directions, n_atoms, 3).

    Returns:
        (n_directions, *shape).
    """

    def along(direction: Tensor) -> Tensor:
        def slope(at: Tensor) -> Tensor:
            tangent: Tensor = jvp(totals, (at,), (direction,))[1]
            return tangent

        curvature: Tensor = jvp(slope, (positions,), (direction,))[1]
        return curvature

    with _TwiceDifferentiable():
        result: Tensor = vmap(along)(directions)
    return result


def _at_once(graph: Graph) -> int:
    """Return how many directions to carry together, for their tangents to stay small."""
    return max(1, EDGES_AT_ONCE // max(1, len(graph.senders)))


class _TwiceDifferentiable(TorchFunctionMode):
    """SiLU as x times sigmoid(x): torch has no forward derivative of its SiLU's derivative."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in (torch.nn.functional.silu, torch._C._nn.silu):
            return args[0] * torch.sigmoid(args[0])
        return func(*args, **(kwargs or {}))
