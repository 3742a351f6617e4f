"""Summed derivatives of invariants are those of automatic differentiation, group by group."""

import pytest
import torch

from fisher_mlip.fisher.invariant_slopes import Groups, invariant_slopes
from fisher_mlip.fisher.tangents import push_forward
from fisher_mlip.model.head import LayerInvariants

N_PAIRS, N_DIRECTIONS, N_GROUPS, CHANNELS = 11, 3, 5, 4


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def groups() -> Groups:
    """Groups of one to four pairs, in no order, the last of them empty."""
    return Groups(torch.tensor([2, 0, 0, 3, 1, 0, 2, 2, 1, 0, 3]), N_GROUPS)


def block(max_degree: int, product_channels: int) -> LayerInvariants:
    made = LayerInvariants(CHANNELS, max_degree, product_channels).double()
    made.mixing.copy_(random(*made.mixing.shape, seed=1))
    return made


def inputs(max_degree: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = CHANNELS * (max_degree + 1) ** 2
    return random(N_PAIRS, width, seed=2), random(N_PAIRS, N_DIRECTIONS, width, seed=3)


def by_automatic_differentiation(
    invariants: LayerInvariants, nodes: torch.Tensor, tangents: torch.Tensor, chosen: Groups
) -> torch.Tensor:
    slopes = torch.stack(
        [push_forward(invariants, nodes, tangents[:, d]) for d in range(N_DIRECTIONS)], dim=1
    )
    total = slopes.new_zeros((N_GROUPS, *slopes.shape[1:]))
    for pair, group in enumerate(chosen.of_pair.tolist()):
        total[group] += slopes[pair]
    return total


@pytest.mark.parametrize(
    ("max_degree", "product_channels"), [(0, 0), (0, 3), (2, 0), (1, 2), (2, 4)]
)
def test_slopes_are_those_of_automatic_differentiation(
    max_degree: int, product_channels: int
) -> None:
    invariants, (nodes, tangents) = block(max_degree, product_channels), inputs(max_degree)
    found = invariant_slopes(invariants, nodes, tangents, groups())
    expected = by_automatic_differentiation(invariants, nodes, tangents, groups())
    assert found.shape == (N_GROUPS, N_DIRECTIONS, invariants.n_invariants)
    torch.testing.assert_close(found, expected, atol=1e-13, rtol=1e-13)


def test_sabotage_half_of_a_product_is_caught() -> None:
    invariants, (nodes, tangents) = block(1, 2), inputs(1)
    found = invariant_slopes(invariants, nodes, tangents, groups())
    found[:, :, 2 * CHANNELS :] *= 0.5
    expected = by_automatic_differentiation(invariants, nodes, tangents, groups())
    assert (found - expected).abs().max() > 0.1


def test_an_empty_group_is_zero() -> None:
    nodes, tangents = inputs(2)
    found = invariant_slopes(block(2, 2), nodes, tangents, groups())
    assert not found[-1].any()
    assert found[:-1].any()


def test_no_pairs_make_zeros() -> None:
    none = Groups(torch.zeros(0, dtype=torch.int64), 2)
    nodes, tangents = (x[:0] for x in inputs(1))
    found = invariant_slopes(block(1, 2), nodes, tangents, none)
    assert found.shape[0] == 2
    assert not found.any()
