"""Which atoms depend on which: neither more nor fewer than the neighbors' neighbors."""

import numpy as np
import torch

from fisher_mlip.data.frames import Frame
from fisher_mlip.fisher.dependence import (
    OutgoingEdges,
    Pairs,
    displacement_seeds,
    first_pairs,
    next_pairs,
    strain_seeds,
)
from fisher_mlip.model import build_graph
from fisher_mlip.model.graph import Graph


def chain(n_atoms: int = 12) -> Graph:
    positions = np.zeros((n_atoms, 3))
    positions[:, 0] = 2.0 * np.arange(n_atoms)
    cell = np.diag([2.0 * n_atoms, 20.0, 20.0])
    frame = Frame(np.full(n_atoms, 6), positions, cell, np.ones(3, dtype=bool))
    return build_graph(frame, [6], 3.0)


def pairs_after(graph: Graph, layers: int) -> Pairs:
    seeds = displacement_seeds(graph, torch.float64)
    pairs = first_pairs(seeds, graph.receivers, graph.n_atoms)
    outgoing = OutgoingEdges(graph)
    for _ in range(layers - 1):
        pairs = next_pairs(pairs, *outgoing.of(pairs), graph.receivers)
    return pairs


def test_each_layer_reaches_one_neighbor_further() -> None:
    graph = chain()
    for layers in (1, 2, 3):
        pairs = pairs_after(graph, layers)
        expected = {(i, (i + k) % 12) for i in range(12) for k in range(-layers, layers + 1)}
        assert set(zip(pairs.source.tolist(), pairs.atom.tolist(), strict=True)) == expected
        assert len(pairs) == 12 * (2 * layers + 1) < 12**2
    assert len(pairs_after(graph, 6)) == 12**2


def test_pairs_are_found_where_they_are() -> None:
    pairs = pairs_after(chain(), 2)
    assert torch.equal(pairs.find(pairs.source, pairs.atom), torch.arange(len(pairs)))
    assert torch.equal(pairs.keys, pairs.keys.sort().values)


def test_outgoing_edges_are_those_that_leave() -> None:
    graph = chain()
    pairs = pairs_after(graph, 2)
    pair, edge = OutgoingEdges(graph).of(pairs)
    assert torch.equal(graph.senders[edge], pairs.atom[pair])
    expected = sum(int((graph.senders == atom).sum()) for atom in pairs.atom)
    assert len(edge) == expected
    assert len(torch.unique(pair * len(graph.senders) + edge)) == expected


def test_strain_moves_edges_by_the_symmetric_strain() -> None:
    graph = chain()
    vectors = torch.randn(len(graph.senders), 3, dtype=torch.float64)
    seeds = strain_seeds(graph, vectors)
    assert seeds.n_directions == 6
    shear = torch.tensor([[0.0, 0, 0], [0, 0, 0.5], [0, 0.5, 0]], dtype=torch.float64)
    torch.testing.assert_close(seeds.matrix[:, :, 3], vectors @ shear)
    assert set(seeds.source.tolist()) == {0}
