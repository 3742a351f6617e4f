"""A head over the fused operators: its products summed as one quadratic form for each element."""

from typing import cast

import torch
from torch import Tensor

from fisher_mlip.fused.packing import FusedError
from fisher_mlip.model.head import LayerInvariants, LinearHead

LANES = 8  # of float64 in the operator's vectors


class FusedHead(LinearHead):
    """The energies of a `LinearHead` and their slopes, each atom by its own element's theta alone.

    With V the channels of a degree (n_channels, components), products of mixed channels are
    sum_ab Theta_ab (M V V' M')_ab = sum_m v_m' (M' Theta M) v_m: theta goes into one symmetric
    matrix for each element and degree, whatever the number of products. In float64.

    Args:
        head: on the CPU; it is not changed.

    Raises:
        FusedError: a degree above 3.
    """

    def __init__(self, head: LinearHead) -> None:
        torch.nn.Module.__init__(self)
        self.config, self.n_species = head.config, head.n_species
        self.every_layer, self.widths = head.every_layer, head.widths
        self.n_invariants = head.n_invariants
        self.blocks = head.blocks
        self.theta = head.theta
        parts = torch.split(head.theta.detach().double(), head.widths, dim=1)
        blocks = [cast(LayerInvariants, block) for block in head.blocks]
        self.forms = torch.nn.ModuleList(
            QuadraticForms(block, theta) for block, theta in zip(blocks, parts, strict=True)
        )

    def forward(self, nodes: list[Tensor], species: Tensor) -> Tensor:
        """Return atomic energies (n_atoms,), float64, in units of the energy scale."""
        used = self.used(nodes)
        total = torch.zeros(species.shape[0], dtype=torch.float64, device=species.device)
        for k, forms in enumerate(self.forms):
            total = total + forms(used[k], species)
        return total


class QuadraticForms(torch.nn.Module):
    """The invariants of one layer times theta.

    Args:
        block: which invariants.
        theta: (n_elements, n_invariants), float64.
    """

    def __init__(self, block: LayerInvariants, theta: Tensor) -> None:
        super().__init__()
        if block.max_degree > 3:
            raise FusedError(f"expected a head of degrees up to 3, found {block.max_degree}")
        n = block.channels
        padded = -(-n // LANES) * LANES
        forms = torch.zeros((len(theta), block.max_degree + 1, n, padded), dtype=torch.float64)
        n_pairs = len(block.first)
        for degree in range(block.max_degree + 1):
            if degree:
                forms[:, degree].diagonal(dim1=1, dim2=2).copy_(
                    theta[:, degree * n : (degree + 1) * n]
                )
            place = n * (block.max_degree + 1) + degree * n_pairs
            products = _symmetric(block, theta[:, place : place + n_pairs])
            mixing = block.mixing[degree].double()
            forms[:, degree, :, :n] += mixing.t() @ products @ mixing
        self.forms: Tensor
        self.linear: Tensor
        self.register_buffer("forms", forms)
        self.register_buffer("linear", theta[:, :n].clone())

    def forward(self, nodes: Tensor, species: Tensor) -> Tensor:
        """Return (n_atoms,), float64, of node features (n_atoms, irreps)."""
        energies: Tensor = torch.ops.fisher_mlip.quadratic_forms(
            nodes, species, self.forms, self.linear
        )
        return energies


def _symmetric(block: LayerInvariants, theta: Tensor) -> Tensor:
    """Return (n_elements, q, q) of theta (n_elements, n_pairs), halved off the diagonal."""
    q = block.product_channels
    square = torch.zeros((len(theta), q, q), dtype=torch.float64)
    square[:, block.first, block.second] = theta
    return 0.5 * (square + square.transpose(1, 2))
