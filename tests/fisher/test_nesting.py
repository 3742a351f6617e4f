"""Smaller heads from the sums of the largest are those computed directly."""

from collections.abc import Callable

import numpy as np
import pytest

from fisher_mlip.config import HeadConfig, HeadKind
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.fisher.heads import attach_head
from fisher_mlip.fisher.nesting import KINDS, nested_head
from fisher_mlip.fisher.normal_equations import NormalEquations, accumulate
from fisher_mlip.fisher.outside.holes import scan_energies
from fisher_mlip.fisher.outside.scan import Scan
from fisher_mlip.model import Checkpoint

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
    head = nested_head(small, whole.network.head, sums.n_features)
    found = head.equations(sums)
    assert head.config.kind == small
    expected = sums if small == large else sums_with(random_checkpoint(large), small, labelled)
    assert_same(found, expected)


def test_sabotage_columns_of_another_element_are_caught(
    random_checkpoint: MakeCheckpoint, labelled: Frames
) -> None:
    whole = random_checkpoint("products")
    sums = accumulate(whole.network, labelled, ELEMENTS, virials=True)
    head = nested_head("per-element", whole.network.head, sums.n_features)
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
        head = nested_head(kind, whole.network.head, large.features.shape[1])
        own = random_checkpoint("products")
        attach_head(own.network, HeadConfig(kind=kind), own.config.model, labelled, ELEMENTS)
        expected = scan_energies(own.network, [scan], ELEMENTS)
        found = head.along(large)
        np.testing.assert_allclose(found.features, expected.features, atol=1e-11)
        np.testing.assert_allclose(found.base, expected.base)
