"""The channel-wise tensor product of node features with the harmonics of their edges."""

import torch
from e3nn import o3
from torch import Tensor


class ChannelProduct(torch.nn.Module):
    """e3nn's "uvu" tensor product, with the harmonics contracted before the channels.

    For each input degree the coupling coefficients times the harmonics are one small matrix per
    edge, which then acts on all channels at once. The numbers are those of `o3.TensorProduct` with
    component normalization, rounding apart; the work and the memory are a fraction of it.

    Components are kept together, channels last: (..., n_components, channels). `sizes` are the
    message components made from each input degree, in `order`'s places of the result.
    """

    def __init__(
        self,
        node_irreps: o3.Irreps,
        edge_irreps: o3.Irreps,
        messages: o3.Irreps,
        instructions: list[tuple[int, int, int, str, bool]],
    ) -> None:
        super().__init__()
        plain = o3.TensorProduct(
            node_irreps,
            edge_irreps,
            messages,
            instructions,
            shared_weights=False,
            internal_weights=False,
        )
        self.channels = int(node_irreps[0].mul)
        self.n_paths = len(instructions)
        self.n_weights = int(plain.weight_numel)
        self.dims = [int(irrep.dim) for _, irrep in node_irreps]
        self.out_dims = [int(irrep.dim) for _, irrep in messages]
        columns: list[list[Tensor]] = [[] for _ in self.dims]
        paths: list[list[int]] = [[] for _ in self.dims]
        places: list[list[int]] = [[] for _ in self.dims]
        starts = [sum(self.out_dims[:k]) for k in range(len(self.out_dims))]
        for path, (i, j, k, *_) in enumerate(instructions):
            coupling = o3.wigner_3j(
                node_irreps[i].ir.l, edge_irreps[j].ir.l, messages[k].ir.l, dtype=torch.float64
            )
            whole = torch.zeros(edge_irreps.dim, self.out_dims[k], self.dims[i])
            whole[edge_irreps.slices()[j]] = coupling.permute(1, 2, 0)
            columns[i].append(whole * plain.instructions[path].path_weight)
            paths[i] += [path] * self.out_dims[k]
            places[i] += range(starts[k], starts[k] + self.out_dims[k])
        self.sizes = [len(of_degree) for of_degree in paths]
        flat = [place for of_degree in places for place in of_degree]
        self.couplings: Tensor
        self.paths: Tensor
        self.order: Tensor
        self.register_buffer(
            "couplings", torch.cat([torch.cat(c, dim=1).flatten(1) for c in columns], dim=1)
        )
        self.register_buffer("paths", torch.tensor([p for part in paths for p in part]))
        self.register_buffer("order", torch.tensor(flat).argsort())

    def components(self, nodes: Tensor) -> Tensor:
        """Bring e3nn's layout (n, irreps) to (n, n_components, channels)."""
        parts = torch.split(nodes, [self.channels * dim for dim in self.dims], dim=1)
        blocks = [
            part.reshape(-1, self.channels, dim).transpose(1, 2)
            for part, dim in zip(parts, self.dims)  # noqa: B905  # TorchScript has no `strict`
        ]
        return torch.cat(blocks, dim=1)

    def irreps(self, messages: Tensor) -> Tensor:
        """Bring (n, n_out, channels), as `couple` gives it, to e3nn's layout (n, irreps)."""
        parts = torch.split(messages.index_select(1, self.order), self.out_dims, dim=1)
        return torch.cat([part.transpose(1, 2).flatten(1) for part in parts], dim=1)

    def matrices(self, harmonics: Tensor) -> Tensor:
        """Return each edge's couplings of input to output components, (n_edges, n_entries)."""
        return harmonics @ self.couplings

    def path_weights(self, weights: Tensor) -> Tensor:
        """Return weights (n_edges, n_weights) by output component, (n_edges, n_out, channels)."""
        by_path = weights.reshape(-1, self.n_paths, self.channels)
        return by_path.index_select(1, self.paths)

    def couple(self, components: Tensor, matrices: Tensor) -> Tensor:
        """Return the products of one sender per edge, (n_edges, n_out, channels), unweighted."""
        entries = [size * dim for size, dim in zip(self.sizes, self.dims)]  # noqa: B905
        inputs = torch.split(components, self.dims, dim=1)
        out: list[Tensor] = []
        for k, matrix in enumerate(torch.split(matrices, entries, dim=1)):
            if self.dims[k] == 1:
                out.append(matrix[:, :, None] * inputs[k])
            else:
                square = matrix.reshape(-1, self.sizes[k], self.dims[k])
                out.append(torch.bmm(square, inputs[k]))
        return torch.cat(out, dim=1)

    def forward(
        self,
        nodes: Tensor,
        senders: Tensor,
        receivers: Tensor,
        harmonics: Tensor,
        weights: Tensor,
        n_atoms: int | None = None,
    ) -> Tensor:
        """Return the messages of all neighbors summed, (n_atoms, message irreps).

        Receivers are among the first `n_atoms`, all of them where that is None.
        """
        sent = self.components(nodes).index_select(0, senders)
        messages = self.couple(sent, self.matrices(harmonics)) * self.path_weights(weights)
        n_rows = nodes.shape[0] if n_atoms is None else n_atoms
        summed = torch.zeros(
            (n_rows, messages.shape[1], messages.shape[2]),
            dtype=messages.dtype,
            device=messages.device,
        ).index_add(0, receivers, messages)
        return self.irreps(summed)
