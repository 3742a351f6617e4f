"""Splits: sizes, seeds, near-duplicates kept together; fingerprints that find them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fisher_mlip.data import Frame, Frames
from fisher_mlip.data.distances import (
    fingerprint,
    near_duplicate_groups,
    neighbor_pairs,
    shortest_distance,
)
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions
from fisher_mlip.data.split import part_size, part_sizes, split_frames, split_into_parts
from fisher_mlip.errors import InputError


def random_frames(count: int, seed: int = 0) -> list[Frame]:
    generator = np.random.default_rng(seed)
    positions = ethanol_positions() + generator.normal(0.0, 0.05, (count, 9, 3))
    return [Frame(ATOMIC_NUMBERS, x, energy=float(i)) for i, x in enumerate(positions)]


def nearly(frame: Frame, seed: int, amplitude: float = 0.002) -> Frame:
    """The same frame, turned, moved and shaken a little."""
    generator = np.random.default_rng(seed)
    turned = frame.positions @ Rotation.random(random_state=seed).as_matrix().T
    shaken = turned + generator.normal(size=3) + generator.normal(0.0, amplitude, (9, 3))
    return replace(frame, positions=shaken)


def energies(frames: Frames) -> list[float | None]:
    return [frame.energy for frame in frames]


def test_fingerprints_do_not_change_with_rotation_or_images() -> None:
    frame = random_frames(1)[0]
    np.testing.assert_allclose(fingerprint(nearly(frame, 1, 0.0)), fingerprint(frame), atol=1e-12)
    cell = np.array([[6.0, 0, 0], [1.0, 6.5, 0], [0.5, -1.0, 7.0]])
    periodic = replace(frame, cell=cell, pbc=np.ones(3, dtype=bool))
    images = np.random.default_rng(0).integers(-2, 3, (9, 3)) @ cell
    moved = replace(periodic, positions=frame.positions + images)
    np.testing.assert_allclose(fingerprint(moved), fingerprint(periodic), atol=1e-9)
    assert not np.allclose(fingerprint(periodic), fingerprint(frame))


def test_near_duplicates_are_grouped_and_others_are_not() -> None:
    frames = random_frames(20)
    groups = near_duplicate_groups(Frames((*frames, nearly(frames[3], 1), nearly(frames[3], 2))))
    assert groups[20] == groups[21] == groups[3]
    assert len(set(groups.tolist())) == 20
    different = near_duplicate_groups(Frames((*frames, nearly(frames[3], 1, 0.05))))
    assert len(set(different.tolist())) == 21


def test_different_molecules_are_no_duplicates() -> None:
    frame = random_frames(1)[0]
    other = replace(frame, atomic_numbers=np.array([6, 6, 7, 1, 1, 1, 1, 1, 1]))
    assert len(set(near_duplicate_groups(Frames((frame, other))).tolist())) == 2


def test_a_split_is_a_partition_and_depends_on_the_seed_alone() -> None:
    frames = Frames(tuple(random_frames(40)), {1: -1.0})
    sizes = {"train": 30, "validation": 4, "test": 6}
    first = split_into_parts(frames, sizes, 3).parts
    again = split_into_parts(frames, sizes, 3).parts
    other = split_into_parts(frames, sizes, 4).parts
    assert {name: len(part) for name, part in first.items()} == sizes
    assert all(energies(first[name]) == energies(again[name]) for name in sizes)
    assert any(energies(first[name]) != energies(other[name]) for name in sizes)
    everything = [frame.energy for part in first.values() for frame in part]
    assert set(everything) == {float(i) for i in range(40)}
    assert first["test"].reference_energies == {1: -1.0}


def test_near_duplicates_stay_together() -> None:
    frames = random_frames(30)
    copies = [nearly(frame, seed) for seed, frame in enumerate(frames[:10])]
    split = split_into_parts(Frames((*frames, *copies)), {"train": 30, "test": 10}, 0)
    assert (split.near_duplicates, split.crossing) == (20, 0)
    seen = set(energies(split.parts["train"])) & set(energies(split.parts["test"]))
    assert not seen


def test_a_group_that_fits_nowhere_is_divided_and_counted() -> None:
    frame = random_frames(1)[0]
    copies = Frames(tuple(nearly(frame, seed) for seed in range(10)))
    split = split_into_parts(copies, {"train": 7, "test": 3}, 0)
    assert (split.near_duplicates, split.crossing) == (10, 3)
    assert [len(part) for part in split.parts.values()] == [7, 3]


def test_held_out_frames() -> None:
    train, held_out = split_frames(Frames(tuple(random_frames(20))), 0.2, 1)
    assert (len(train), len(held_out)) == (16, 4)


@pytest.mark.parametrize(
    ("wanted", "size"), [(0.25, 5), (5, 5), (20, 20), (0, 0), (1, 1), (0.5, 10)]
)
def test_part_sizes(wanted: float, size: int) -> None:
    assert part_size(wanted, 20) == size


@pytest.mark.parametrize("wanted", [-1, 21, 1.5])
def test_impossible_sizes_are_refused(wanted: float) -> None:
    with pytest.raises(InputError, match="there are 20 frames, expected a fraction below 1"):
        part_size(wanted, 20)


def test_fractions_that_add_up_to_one_use_every_frame() -> None:
    for total in range(10, 40):
        sizes = part_sizes(total, 0.8, 0.1, 0.1)
        assert total - 1 <= sum(sizes.values()) <= total
        assert sum(part_sizes(total, None, 0.1, 0.1).values()) == total


def test_parts_that_leave_none_to_train_on_are_refused() -> None:
    with pytest.raises(InputError, match="there are 15 frames: 10 for validation and 5 for test"):
        part_sizes(15, None, 10, 5)


def test_more_frames_than_there_are_are_refused() -> None:
    with pytest.raises(InputError, match="there are 5 frames, asked for are train 4, test 2"):
        split_into_parts(Frames(tuple(random_frames(5))), {"train": 4, "test": 2}, 0)


def test_pairs_agree_with_every_image() -> None:
    """Half periodic, skewed, with atoms far outside the cell: against a plain sum over images."""
    frame = random_frames(1)[0]
    cell = np.array([[4.0, 0.3, 0], [1.0, 5.0, 0.2], [0.5, -1.0, 6.0]])
    pbc = np.array([True, True, False])
    shifts = np.array([[i, j, 0] for i in range(-3, 4) for j in range(-3, 4)]) @ cell
    vectors = frame.positions[None, None] + shifts[:, None, None] - frame.positions[None, :, None]
    distances = np.sort(np.linalg.norm(vectors, axis=-1).reshape(-1))
    expected = distances[(distances > 1e-9) & (distances < 4.0)]
    far = frame.positions + np.array([10_000, -20_000, 0]) @ cell
    periodic = replace(frame, positions=far, cell=cell, pbc=pbc)
    np.testing.assert_allclose(np.sort(neighbor_pairs(periodic, 4.0)[2]), expected, atol=1e-6)


def test_atoms_that_flew_away_do_no_harm() -> None:
    frame = random_frames(1)[0]
    flown = frame.positions.copy()
    flown[8, 0] = 1e12
    assert shortest_distance(replace(frame, positions=flown)) < 1.2
    periodic = replace(frame, positions=flown, cell=9 * np.eye(3), pbc=np.ones(3, dtype=bool))
    assert shortest_distance(periodic) < 1.2


def test_frames_without_distances_are_refused() -> None:
    frame = random_frames(1)[0]
    with pytest.raises(InputError, match="finite positions and cell, found NaN or infinity"):
        shortest_distance(replace(frame, positions=frame.positions * np.nan))
    with pytest.raises(InputError, match="a periodic cell with a volume"):
        shortest_distance(replace(frame, pbc=np.ones(3, dtype=bool), cell=np.ones((3, 3))))
