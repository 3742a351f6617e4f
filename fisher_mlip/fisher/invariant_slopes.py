"""The head's invariants and their derivatives, summed over the atoms of each element.

Of a product of two channels what is summed is dv_i . v_j + v_i . dv_j, over atoms and components:
both are entries of one matrix product per source and element, so that no atom's products are ever
written down.
"""

import torch
from torch import Tensor

from fisher_mlip.model.head import LayerInvariants


class Groups:
    """Pairs by source and element, padded to the largest group.

    Attributes:
        of_pair: (n_pairs,), the group each pair belongs to.
        n_groups: number of groups, empty ones too.
        slots: (n_groups, largest), the pairs of each group; n_pairs, one past the last, as filler.
    """

    def __init__(self, of_pair: Tensor, n_groups: int) -> None:
        self.of_pair, self.n_groups = of_pair, n_groups
        order = torch.argsort(of_pair, stable=True)
        count = torch.bincount(of_pair, minlength=n_groups)
        start = torch.cumsum(count, 0) - count
        group = of_pair[order]
        place = torch.arange(len(of_pair), device=of_pair.device) - start[group]
        largest = int(count.max()) if len(of_pair) else 0
        self.slots = torch.full((n_groups, largest), len(of_pair), device=of_pair.device)
        self.slots[group, place] = order

    def padded(self, rows: Tensor) -> Tensor:
        """Return rows (n_pairs, ...) as (n_groups, largest, ...), zero where there is no pair."""
        return torch.cat([rows, rows.new_zeros((1, *rows.shape[1:]))])[self.slots]

    def sums(self, rows: Tensor) -> Tensor:
        """Return rows (n_pairs, ...) summed over each group, (n_groups, ...)."""
        return rows.new_zeros((self.n_groups, *rows.shape[1:])).index_add_(0, self.of_pair, rows)


def invariant_slopes(
    block: LayerInvariants, nodes: Tensor, tangents: Tensor, groups: Groups
) -> Tensor:
    """Return the derivatives of the invariants summed over groups.

    Args:
        block: the invariants.
        nodes: (n_pairs, irreps), features of each pair's atom.
        tangents: (n_pairs, n_directions, irreps), their derivatives.
        groups: which pairs are summed.

    Returns:
        (n_groups, n_directions, n_invariants), in the order of `LayerInvariants.forward`.
    """
    n = block.channels
    singles, products = [tangents[:, :, :n]], []
    start = 0
    for degree in range(block.max_degree + 1):
        width = 2 * degree + 1
        value = nodes[:, start : start + n * width].reshape(-1, n, width).transpose(1, 2)
        slope = tangents[:, :, start : start + n * width]
        slope = slope.reshape(*slope.shape[:2], n, width).permute(0, 3, 1, 2).contiguous()
        start += n * width
        if degree > 0:
            singles.append(2.0 * (value[:, :, None] * slope).sum(dim=1))
        if block.product_channels > 0:
            mixing = block.mixing[degree].t()
            products.append(_product_slopes(block, value @ mixing, slope @ mixing, groups))
    return torch.cat([groups.sums(torch.cat(singles, dim=2)), *products], dim=2)


def invariant_totals(block: LayerInvariants, nodes: Tensor, groups: Groups) -> Tensor:
    """Return the invariants summed over groups of atoms, (n_groups, n_invariants), float64.

    Args:
        block: the invariants.
        nodes: (n_atoms, irreps).
        groups: which atoms are summed.
    """
    n = block.channels
    singles, products = [nodes[:, :n].double()], []
    start = 0
    for degree in range(block.max_degree + 1):
        width = 2 * degree + 1
        value = nodes[:, start : start + n * width].reshape(-1, n, width).transpose(1, 2)
        start += n * width
        if degree > 0:
            singles.append(value.square().sum(dim=1).double())
        if block.product_channels > 0:
            mixed = (value @ block.mixing[degree].t()).double()
            rows = groups.padded(mixed).flatten(1, 2)
            products.append((rows.transpose(1, 2) @ rows)[:, block.first, block.second])
    return torch.cat([groups.sums(torch.cat(singles, dim=1)), *products], dim=1)


def _product_slopes(block: LayerInvariants, value: Tensor, slope: Tensor, groups: Groups) -> Tensor:
    """Return (n_groups, n_directions, n_pairs_of_channels) of mixed channels.

    Args:
        block: the invariants.
        value: (n_pairs, 2 l + 1, q).
        slope: (n_pairs, 2 l + 1, n_directions, q).
        groups: which pairs are summed.
    """
    _, _, n_directions, q = slope.shape
    left = groups.padded(slope.flatten(2)).flatten(1, 2)
    right = groups.padded(value).flatten(1, 2)
    crossed = (left.transpose(1, 2) @ right).reshape(-1, n_directions, q * q)
    first, second = block.first, block.second
    made: Tensor = crossed[:, :, first * q + second] + crossed[:, :, second * q + first]
    return made
