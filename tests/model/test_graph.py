"""Neighbor lists against all pairs, and joined graphs."""

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.model.graph import Graph, build_graph, graph_of_frames, join_graphs, species_of
from fisher_mlip.model.neighbors import canonical_order, open_pairs, thins_out

CELL = np.array([[4.0, 0.0, 0.0], [0.9, 3.6, 0.0], [-0.7, 0.5, 4.4]])


def periodic_frame() -> Frame:
    rng = np.random.default_rng(1)
    positions = rng.uniform(0, 1, (5, 3)) @ CELL + rng.integers(-2, 3, (5, 3)) @ CELL
    return Frame(np.array([1, 6, 8, 1, 6]), positions, CELL, np.ones(3, dtype=bool))


def brute_force_distances(frame: Frame, cutoff: float) -> np.ndarray:
    images = np.stack(np.meshgrid(*[np.arange(-8, 9)] * 3, indexing="ij"), -1).reshape(-1, 3)
    images = images if frame.is_periodic else images[:0].reshape(0, 3)
    shifts = images @ frame.cell if len(images) else np.zeros((1, 3))
    found = []
    for i in range(frame.n_atoms):
        for j in range(frame.n_atoms):
            r = np.linalg.norm(frame.positions[j] + shifts - frame.positions[i], axis=1)
            found.append(r[(r > 1e-9) & (r < cutoff)])
    return np.sort(np.concatenate(found))


def distances(graph: Graph) -> np.ndarray:
    return np.sort(graph.edge_vectors(graph.positions, graph.cells).norm(dim=1).numpy())


@pytest.mark.parametrize("cutoff", [2.0, 3.0, 7.5])
def test_periodic_list_is_all_pairs_even_beyond_half_the_box(cutoff: float) -> None:
    frame = periodic_frame()
    expected = brute_force_distances(frame, cutoff)
    np.testing.assert_allclose(
        distances(build_graph(frame, [1, 6, 8], cutoff)), expected, atol=1e-12
    )


def test_a_dropped_shift_is_caught_by_the_same_comparison() -> None:
    frame = periodic_frame()
    graph = build_graph(frame, [1, 6, 8], 3.0)
    graph.cell_shifts[0] += 1.0
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(distances(graph), brute_force_distances(frame, 3.0), atol=1e-12)


def test_isolated_atom_has_no_edges() -> None:
    graph = build_graph(Frame(np.array([8]), np.zeros((1, 3))), [1, 6, 8], 3.0)
    assert graph.senders.shape == (0,)


def test_joined_graphs_keep_frames_apart(ethanol_frames: Frames) -> None:
    two = [build_graph(frame, [1, 6, 8], 3.0) for frame in ethanol_frames.frames[:2]]
    both = join_graphs(two)
    assert both.n_frames == 2
    assert torch.equal(both.atoms_per_frame(), torch.tensor([9, 9]))
    assert torch.equal(both.frame_index[both.senders], both.frame_index[both.receivers])
    assert (
        graph_of_frames(ethanol_frames.frames[:2], [1, 6, 8], 3.0).senders.shape
        == both.senders.shape
    )


def test_unknown_element_is_named() -> None:
    with pytest.raises(InputError, match="knows the elements H, C, found also N, O"):
        species_of(np.array([1, 7, 8]), [1, 6])


def test_periodic_frame_without_volume_is_refused() -> None:
    flat = Frame(np.array([1]), np.zeros((1, 3)), np.zeros((3, 3)), np.ones(3, dtype=bool))
    with pytest.raises(InputError, match="a cell with a volume"):
        build_graph(flat, [1], 3.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e13])
def test_positions_that_would_crash_the_list_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="expected positions within"):
        build_graph(Frame(np.array([1, 1]), np.array([[0.0, 0, 0], [0, 0, bad]])), [1], 3.0)


CORNERS = [[4e5, 0, 0], [0, 4e5, 0], [0, 1, 4e5], [9e5, 1, 1], [1500, 1500, 1], [1, 1200, 1200]]


@pytest.mark.parametrize("corner", CORNERS)
def test_flat_and_long_open_systems_have_their_pairs(corner: list[float]) -> None:
    """vesin's cell list ends the process over these; see `thins_out`."""
    near = np.array([[0.0, 0, 0], [1.0, 0.5, 0.2], [2.5, 0.0, 2.5]])
    frame = Frame(np.ones(6, dtype=np.int64), np.concatenate([near, near + corner]))
    graph = build_graph(frame, [1], 3.0)
    pairs = set(zip(graph.receivers.tolist(), graph.senders.tolist(), strict=True))
    one = {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert pairs == one | {(i + 3, j + 3) for i, j in one}


def test_own_list_is_vesins_where_both_can() -> None:
    positions = np.random.default_rng(0).uniform(-9.0, 9.0, (300, 3))
    graph = build_graph(Frame(np.ones(300, dtype=np.int64), positions), [1], 3.0)
    expected = set(zip(graph.receivers.tolist(), graph.senders.tolist(), strict=True))
    receivers, senders = open_pairs(torch.tensor(positions), 3.0)
    assert len(receivers) == len(expected) > 1000
    assert set(zip(receivers.tolist(), senders.tolist(), strict=True)) == expected
    fewer = open_pairs(torch.tensor(positions), 2.9)
    assert len(fewer[0]) < len(expected)


def test_when_vesin_would_end_the_process() -> None:
    for extents in ([4e5, 0.0, 0.0], [1200.0, 1200.0, 1.0], [1.0, 1200.0, 1200.0]):
        assert thins_out(torch.tensor(extents), 3.5)
    for extents in ([0.0, 0.0, 0.0], [1e5, 0.0, 0.0], [3e3, 3e3, 3e3], [1e6, 1e6, 1e6]):
        assert not thins_out(torch.tensor(extents), 3.5)


def test_a_periodic_sheet_too_wide_for_the_list_is_refused() -> None:
    sheet = Frame(np.array([1]), np.zeros((1, 3)), np.diag([1e4, 1e4, 3.0]), np.ones(3, dtype=bool))
    with pytest.raises(InputError, match="not a thin sheet"):
        build_graph(sheet, [1], 3.0)


def test_the_canonical_order_is_that_of_the_pairs_not_of_the_list() -> None:
    rng = np.random.default_rng(5)
    receivers, senders = torch.tensor(rng.integers(0, 4, (2, 60)))
    shifts = torch.tensor(rng.integers(-2, 3, (60, 3))).double()
    rows = torch.cat([receivers[:, None], senders[:, None], shifts.long()], dim=1)
    expected = sorted(rows.tolist())
    for order in (torch.arange(60), torch.tensor(rng.permutation(60))):
        mixed = canonical_order(receivers[order], senders[order], shifts[order])
        assert rows[order][mixed].tolist() == expected
        assert rows[order].tolist() != expected
