"""The derivative along a tangent, and where tangents are carried."""

from collections.abc import Callable

import numpy as np
import torch

from fisher_mlip.data.frames import Frame
from fisher_mlip.fisher.dependence import displacement_seeds
from fisher_mlip.fisher.tangents import Linearization, push_forward
from fisher_mlip.model import Checkpoint, build_graph


def test_the_derivative_is_along_the_tangent() -> None:
    point = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)
    tangent = torch.randn(2, 3, dtype=torch.float64)
    found = push_forward(lambda x: x.square().sum(dim=1), point, tangent)
    torch.testing.assert_close(found, 2 * (point * tangent).sum(dim=1))


def test_constants_have_no_slope() -> None:
    point = torch.zeros(4, 2)
    found = push_forward(lambda x: torch.ones(len(x), 1), point, torch.ones(4, 2))
    assert torch.equal(found, torch.zeros(4, 1))


def test_a_far_atom_has_no_tangent(random_checkpoint: Callable[..., Checkpoint]) -> None:
    """Three atoms in a row with a cutoff between neighbors: one layer sees one, two see both."""
    positions = np.array([[0.0, 0, 0], [2.0, 0, 0], [4.0, 0, 0]])
    graph = build_graph(Frame(np.array([6, 1, 8]), positions), [1, 6, 8], 3.0)
    at = Linearization(random_checkpoint().network, graph)
    carried = at.tangents(displacement_seeds(graph, torch.float64))
    reached = [set(zip(p.source.tolist(), p.atom.tolist(), strict=True)) for p, _ in carried]
    everything = {(i, j) for i in range(3) for j in range(3)}
    assert reached == [everything - {(0, 2), (2, 0)}, everything, everything]
    for (_, tangent), nodes in zip(carried, at.nodes, strict=True):
        assert tangent.shape[1:] == (3, nodes.shape[1])
