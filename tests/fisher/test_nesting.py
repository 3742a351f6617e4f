"""Smaller heads from the sums of the largest are those computed directly."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fisher_mlip.config import HeadConfig, HeadKind
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.fisher.heads import attach_head, keep_part_of_head, set_theta
from fisher_mlip.fisher.nesting import KINDS, nested_head, nested_heads
from fisher_mlip.fisher.normal_equations import NormalEquations, accumulate
from fisher_mlip.fisher.outside.holes import scan_energies
from fisher_mlip.fisher.outside.scan import Scan
from fisher_mlip.model import Checkpoint, evaluate
from fisher_mlip.model.graph import Graph, graph_of_frames

ELEMENTS = [1, 6, 8]
MakeCheckpoint = Callable[..., Checkpoint]


@pytest.fixture(scope="module")
def labelled(
    random_checkpoint: MakeCheckpoint, labelled_by: Callable[..., Frames], ethanol_frames: Frames
) -> Frames:
    cell, pbc = np.diag([7.0, 6.5, 6.0]), np.ones(3, dtype=bool)
    crystal = Frame(ethanol_frames[2].atomic_numbers, ethanol_frames[2].positions, cell, pbc)
    frames = Frames((*ethanol_frames.frames[:2], crystal))
    return labelled_by(random_checkpoint(seed=7), frames)


def sums_with(checkpoint: Checkpoint, kind: HeadKind, frames: Frames) -> NormalEquations:
    """Accumulate with a head of that kind put on the network."""
    config = HeadConfig(kind=kind)
    attach_head(checkpoint.network, config, checkpoint.config.model, frames, ELEMENTS)
    return accumulate(checkpoint.network, frames, ELEMENTS, virials=True)


def assert_same(found: NormalEquations, expected: NormalEquations) -> None:
    for part in ("forces", "energies", "virials"):
        mine, theirs = getattr(found, part), getattr(expected, part)
        size = np.abs(theirs.gram).max()
        np.testing.assert_allclose(mine.gram, theirs.gram, atol=1e-11 * size, err_msg=part)
        np.testing.assert_allclose(mine.moment, theirs.moment, atol=1e-11 * size, err_msg=part)
        assert (mine.count, mine.square) == (theirs.count, pytest.approx(theirs.square))


@pytest.mark.parametrize(
    ("large", "small"),
    [(large, small) for k, large in enumerate(KINDS) for small in KINDS[: k + 1]],
)
def test_sums_of_a_smaller_head_are_inside_the_larger(
    random_checkpoint: MakeCheckpoint, labelled: Frames, large: HeadKind, small: HeadKind
) -> None:
    whole = random_checkpoint(large)
    sums = accumulate(whole.network, labelled, ELEMENTS, virials=True)
    head = nested_heads(small, whole.network.head, sums.n_features)[-1]
    found = head.equations(sums)
    assert head.config.kind == small
    expected = sums if small == large else sums_with(random_checkpoint(large), small, labelled)
    assert_same(found, expected)


def test_products_of_the_first_layer_are_inside_those_of_all(
    random_checkpoint: MakeCheckpoint, labelled: Frames
) -> None:
    whole = random_checkpoint("products", layers=3)
    network, head = whole.network, whole.network.head
    assert head is not None
    sums = accumulate(network, labelled, ELEMENTS, virials=True)
    inside = nested_heads("products", head, sums.n_features)
    assert [found.config.name for found in inside] == ["products (1)", "products"]
    first = inside[0]
    found = first.equations(sums)
    theta = np.random.default_rng(0).normal(size=found.n_features)
    keep_part_of_head(network, first.config, whole.config.model, len(ELEMENTS))
    assert_same(found, accumulate(network, labelled, ELEMENTS, virials=True))
    # The same function: a theta of the part is one of the whole, zero elsewhere.
    set_theta(network, theta)
    energies = [evaluate(network, graph).energies for graph in graphs(labelled)]
    network.head = head
    assert first.columns is not None
    set_theta(network, first.columns @ theta)
    for graph, energy in zip(graphs(labelled), energies, strict=True):
        torch.testing.assert_close(
            evaluate(network, graph).energies, energy, rtol=1e-10, atol=1e-10
        )


def graphs(frames: Frames) -> list[Graph]:
    return [graph_of_frames([frame], ELEMENTS, 3.0) for frame in frames]


def test_one_layer_of_products_has_no_part(random_checkpoint: MakeCheckpoint) -> None:
    head = random_checkpoint("products", layers=2).network.head
    assert head is not None
    assert [found.config.name for found in nested_heads("products", head, 7)] == ["products"]


def test_sabotage_columns_of_another_element_are_caught(
    random_checkpoint: MakeCheckpoint, labelled: Frames
) -> None:
    whole = random_checkpoint("products")
    sums = accumulate(whole.network, labelled, ELEMENTS, virials=True)
    head = nested_head(HeadConfig(kind="per-element"), whole.network.head, sums.n_features)
    assert whole.network.head is not None
    order = np.roll(np.arange(sums.n_features), whole.network.head.n_invariants)
    shifted = type(head)(head.config, head.columns[order])
    expected = sums_with(random_checkpoint("products"), "per-element", labelled)
    with pytest.raises(AssertionError):
        assert_same(shifted.equations(sums), expected)


def test_energies_along_scans_are_nested_too(
    random_checkpoint: MakeCheckpoint, labelled: Frames
) -> None:
    points = labelled.frames[:2]
    scan = Scan("stretch", "C0-H1", points, np.array([0.0, 0.1]), np.array([0.2]))
    whole = random_checkpoint("products")
    large = scan_energies(whole.network, [scan], ELEMENTS)
    for kind in KINDS[:3]:
        head = nested_head(HeadConfig(kind=kind), whole.network.head, large.features.shape[1])
        own = random_checkpoint("products")
        attach_head(own.network, HeadConfig(kind=kind), own.config.model, labelled, ELEMENTS)
        expected = scan_energies(own.network, [scan], ELEMENTS)
        found = head.along(large)
        np.testing.assert_allclose(found.features, expected.features, atol=1e-11)
        np.testing.assert_allclose(found.base, expected.base)
