"""Laplacians against traces of dense Hessians; random probes against their own error bars."""

import numpy as np
import pytest
import torch
from torch import Tensor

from fisher_mlip.data.frames import Frame
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.laplacian import (
    exact_laplacian,
    frame_totals,
    hutchinson_laplacian,
)
from fisher_mlip.model import build_graph, join_graphs, new_network
from fisher_mlip.model.graph import Graph
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.testing import ethanol
from tests.fisher.conftest import small_config

ELEMENTS = [1, 6, 8]


@pytest.fixture(scope="module")
def network() -> EquivariantNetwork:
    torch.manual_seed(0)
    return new_network(small_config(ELEMENTS)).eval()


def some_atoms(n_atoms: int, *, periodic: bool) -> Graph:
    numbers, positions = ethanol()
    cell = np.array([[4.0, 0.0, 0.0], [0.7, 3.5, 0.0], [-0.4, 0.6, 3.8]]) * periodic
    frame = Frame(numbers[:n_atoms], positions[:n_atoms], cell, np.full(3, periodic))
    return build_graph(frame, ELEMENTS, 3.0)


def traces(network: EquivariantNetwork, graph: Graph) -> Tensor:
    """Return (n_frames, D), traces of dense Hessians by reverse mode over reverse mode."""
    totals = frame_totals(network, graph)
    shape = totals(graph.positions).shape
    found = [
        torch.autograd.functional.hessian(lambda x, k=k: totals(x).reshape(-1)[k], graph.positions)
        .reshape(3 * graph.n_atoms, -1)
        .trace()
        for k in range(shape.numel())
    ]
    return torch.stack(found).reshape(shape)


def assert_exact(network: EquivariantNetwork, graph: Graph, found: Tensor) -> None:
    expected = traces(network, graph)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("periodic", [False, True])
def test_is_the_trace_of_the_hessian(network: EquivariantNetwork, periodic: bool) -> None:
    graph = some_atoms(4, periodic=periodic)
    assert_exact(network, graph, exact_laplacian(network, graph).values)


def test_frames_of_different_size_at_once(
    network: EquivariantNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = join_graphs([some_atoms(n, periodic=n == 3) for n in (2, 3, 4)])
    whole = exact_laplacian(network, graph).values
    assert_exact(network, graph, whole)
    monkeypatch.setattr("fisher_mlip.fisher.laplacian.EDGES_AT_ONCE", 1)
    torch.testing.assert_close(exact_laplacian(network, graph).values, whole, rtol=1e-10, atol=0)


def test_sabotage_one_coordinate_left_out_is_caught(network: EquivariantNetwork) -> None:
    graph = some_atoms(4, periodic=False)
    totals = frame_totals(network, graph)
    x = graph.positions[0, 0]

    def along(at: Tensor) -> Tensor:
        moved = graph.positions.clone()
        moved[0, 0] = at
        return totals(moved)[0, 0]

    left_out = exact_laplacian(network, graph).values.clone()
    left_out[0, 0] -= torch.autograd.functional.hessian(along, x)
    with pytest.raises(AssertionError):
        assert_exact(network, graph, left_out)


def test_atoms_without_neighbors_have_none(network: EquivariantNetwork) -> None:
    graph = some_atoms(1, periodic=False)
    assert torch.equal(exact_laplacian(network, graph).values, torch.zeros((1, 8)).double())


def assert_unbiased(values: Tensor, errors: Tensor, exact: Tensor) -> None:
    """Check the mean over many estimates (n, D), and that errors are as large as they say."""
    deviations = values - exact
    square, stated = deviations.square().mean(dim=0), errors.square().mean(dim=0)
    assert bool((deviations.mean(dim=0).abs() < 4 * (stated / len(values)).sqrt()).all())
    assert 0.8 < float((square / stated).mean()) < 1.25


def test_probes_are_unbiased_within_their_error(network: EquivariantNetwork) -> None:
    graph = join_graphs([some_atoms(5, periodic=False)] * 100)
    found = hutchinson_laplacian(network, graph, 12, torch.Generator().manual_seed(0))
    exact = exact_laplacian(network, some_atoms(5, periodic=False)).values
    values, errors = found.values, found.standard_error
    assert errors is not None
    assert_unbiased(values, errors, exact)
    for wrong, stated in ((values / 2, errors), (values + errors, errors), (values, 0.8 * errors)):
        with pytest.raises(AssertionError):
            assert_unbiased(wrong, stated, exact)


def test_probes_repeat_with_their_seed(network: EquivariantNetwork) -> None:
    graph = some_atoms(3, periodic=False)
    first, again, other = (
        hutchinson_laplacian(network, graph, 2, torch.Generator().manual_seed(seed)).values
        for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_one_probe_has_no_error_and_is_refused(network: EquivariantNetwork) -> None:
    graph = some_atoms(2, periodic=False)
    with pytest.raises(InputError, match="two probes or more, found 1"):
        hutchinson_laplacian(network, graph, 1, torch.Generator())
