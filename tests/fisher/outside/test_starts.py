"""Starts of scans: small frames whole, of large ones a molecule and those around it."""

import time

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.fisher.outside.connectivity import Connectivity
from fisher_mlip.fisher.outside.scans import make_scans
from fisher_mlip.fisher.outside.starts import SHELL, SMALL, Start, start_of
from fisher_mlip.testing import ethanol

NUMBERS, POSITIONS = ethanol()


def box(per_side: int, spacing: float = 5.5, *, wrapped: bool = True) -> Frame:
    """Return a cubic lattice of ethanols, wrapped into the cell so that molecules are cut."""
    grid = spacing * np.stack(np.meshgrid(*[np.arange(per_side)] * 3), -1).reshape(-1, 3)
    positions = (grid[:, None] + POSITIONS).reshape(-1, 3)
    length = per_side * spacing
    if wrapped:
        positions = positions % length
    cell = np.diag([length] * 3)
    return Frame(np.tile(NUMBERS, len(grid)), positions, cell, np.ones(3, dtype=bool))


def internal_distances(positions: FloatArray) -> FloatArray:
    return np.linalg.norm(positions[:, None] - positions[None], axis=-1)


def test_a_small_frame_is_taken_whole() -> None:
    frame = Frame(NUMBERS, POSITIONS)
    start = start_of(frame, np.random.default_rng(0))
    assert start.frame is frame
    assert start.is_core.all()


@pytest.fixture(scope="module")
def starts() -> list[Start]:
    frame = box(4)
    assert frame.n_atoms > SMALL
    return [start_of(frame, np.random.default_rng(seed)) for seed in range(6)]


def test_of_a_large_box_whole_molecules_around_one_are_left(starts: list[Start]) -> None:
    expected = internal_distances(POSITIONS)
    for start in starts:
        assert not start.frame.is_periodic
        assert start.is_core.sum() == 9
        assert 18 <= start.frame.n_atoms < 30 * 9
        for molecule in start.frame.positions.reshape(-1, 9, 3):
            np.testing.assert_allclose(internal_distances(molecule), expected, atol=1e-9)
        core = start.frame.positions[start.is_core]
        for molecule in start.frame.positions[~start.is_core].reshape(-1, 9, 3):
            assert np.linalg.norm(molecule[:, None] - core[None], axis=-1).min() < SHELL


def test_sabotage_a_molecule_left_wrapped_is_seen(starts: list[Start]) -> None:
    torn = starts[0].frame.positions[:9].copy()
    torn[4] += [22.0, 0.0, 0.0]
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(internal_distances(torn), internal_distances(POSITIONS))


def test_every_neighbor_is_there_through_the_boundaries(starts: list[Start]) -> None:
    """As many molecules as a direct search over the images finds."""
    frame = box(4, wrapped=False)
    images = 22.0 * np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3)
    molecules = (frame.positions.reshape(-1, 1, 9, 3) + images[:, None]).reshape(-1, 9, 3)
    core = frame.positions[:9]
    apart = np.linalg.norm(molecules[:, :, None] - core[None, None], axis=-1).min(axis=(1, 2))
    expected = int(((apart < SHELL) & (apart > 0)).sum())
    assert {start.frame.n_atoms // 9 - 1 for start in starts} == {expected}


def test_scans_of_a_large_box_are_many_and_soon_made() -> None:
    begin = time.process_time()
    scans = make_scans(Frames((box(6),)), n_starts=2)
    assert {scan.kind for scan in scans} == {"stretch", "compress", "bend", "contact"}
    assert len(scans) > 40
    assert max(frame.n_atoms for scan in scans for frame in scan.points) < 30 * 9
    assert time.process_time() - begin < 20.0


def test_a_network_without_molecules_is_kept_whole_with_few_atoms_to_follow() -> None:
    grid = 1.5 * np.stack(np.meshgrid(*[np.arange(5)] * 3), -1).reshape(-1, 3)
    solid = Frame(np.full(125, 6), grid, 7.5 * np.eye(3), np.ones(3, dtype=bool))
    start = start_of(solid, np.random.default_rng(0))
    assert start.frame is solid
    assert 0 < start.is_core.sum() < 20
    assert len(Connectivity.of(solid).i) == 375
