"""One message-passing layer: a channel-wise tensor product over edges, then a gate."""

import torch
from e3nn import o3
from torch import Tensor

from fisher_mlip.model.product import ChannelProduct


def degree_irreps(channels: int, max_degree: int) -> o3.Irreps:
    """Return `channels` copies of each degree up to `max_degree`, with natural parity."""
    return o3.Irreps([(channels, (degree, (-1) ** degree)) for degree in range(max_degree + 1)])


def product_paths(
    node_irreps: o3.Irreps, edge_irreps: o3.Irreps, kept: o3.Irreps
) -> tuple[o3.Irreps, list[tuple[int, int, int, str, bool]]]:
    """List the couplings node x edge -> message whose result is in `kept`, sorted by irrep.

    Returns:
        the message irreps and e3nn's instructions for them.
    """
    found: list[tuple[int, o3.Irrep]] = []
    pairs: list[tuple[int, int]] = []
    for i, (channels, node_irrep) in enumerate(node_irreps):
        for j, (_, edge_irrep) in enumerate(edge_irreps):
            for irrep in node_irrep * edge_irrep:
                if irrep in kept:
                    found.append((channels, irrep))
                    pairs.append((i, j))
    messages, order, _ = o3.Irreps(found).sort()
    return messages, [(i, j, order[k], "uvu", True) for k, (i, j) in enumerate(pairs)]


def radial_network(n_basis: int, width: int, n_weights: int) -> torch.nn.Sequential:
    """Return the map from radial functions to tensor-product weights, zero at zero.

    Weights start normal with unit variance of the outputs; 1.68 undoes SiLU's shrinking.
    """
    first = torch.nn.Linear(n_basis, width, bias=False)
    second = torch.nn.Linear(width, n_weights, bias=False)
    torch.nn.init.normal_(first.weight, std=n_basis**-0.5)
    torch.nn.init.normal_(second.weight, std=1.68 * width**-0.5)
    return torch.nn.Sequential(first, torch.nn.SiLU(), second)


class Gate(torch.nn.Module):
    """SiLU on scalars; each channel of degree l > 0 times the sigmoid of a scalar of its own."""

    def __init__(self, channels: int, max_degree: int) -> None:
        super().__init__()
        self.channels = channels
        self.max_degree = max_degree
        degrees = degree_irreps(channels, max_degree)
        gated = [(channels * (max_degree + 1), (0, 1)), *degrees[1:]]
        self.in_irreps = o3.Irreps(gated)
        self.out_irreps = degrees

    def forward(self, x: Tensor) -> Tensor:
        n = self.channels
        parts = [torch.nn.functional.silu(x[:, :n])]
        start = n * (self.max_degree + 1)
        for degree in range(1, self.max_degree + 1):
            width = 2 * degree + 1
            gates = torch.sigmoid(x[:, degree * n : (degree + 1) * n])
            block = x[:, start : start + n * width].reshape(-1, n, width)
            parts.append((block * gates[:, :, None]).reshape(-1, n * width))
            start += n * width
        return torch.cat(parts, dim=1)


class Interaction(torch.nn.Module):
    """Messages from neighbors, summed, mixed, added to the atom's own features, and gated."""

    def __init__(
        self,
        node_irreps: o3.Irreps,
        edge_irreps: o3.Irreps,
        gate: Gate,
        n_basis: int,
        radial_width: int,
    ) -> None:
        super().__init__()
        out_irreps = gate.in_irreps
        messages, instructions = product_paths(node_irreps, edge_irreps, out_irreps)
        self.mix_in = o3.Linear(node_irreps, node_irreps)
        self.product = ChannelProduct(node_irreps, edge_irreps, messages, instructions)
        self.radial = radial_network(n_basis, radial_width, self.product.n_weights)
        self.mix_out = o3.Linear(messages.simplify(), out_irreps)
        self.self_connection = o3.Linear(node_irreps, out_irreps)
        self.gate = gate

    def forward(
        self,
        nodes: Tensor,
        edges: list[Tensor],
        message_scale: Tensor,
        n_out: int | None = None,
    ) -> Tensor:
        """Return the new features of all atoms, or of the first `n_out`.

        Args:
            nodes: (n_atoms, irreps).
            edges: senders and receivers (n_edges,), harmonics (n_edges, irreps), radial functions
                (n_edges, n_basis), envelope (n_edges,).
            message_scale: (), what the summed messages are multiplied by.
            n_out: at least as many as there are receivers; all atoms when None.
        """
        senders, receivers, harmonics, basis, envelope = edges
        # The radial network has no bias and is multiplied by the envelope, so nothing that an
        # edge contributes survives at the cutoff.
        weights = self.radial(basis) * envelope[:, None]
        summed = self.product(self.mix_in(nodes), senders, receivers, harmonics, weights, n_out)
        if n_out is not None:
            nodes = nodes[:n_out]
        mixed: Tensor = self.gate(
            self.self_connection(nodes) + self.mix_out(summed * message_scale)
        )
        return mixed
