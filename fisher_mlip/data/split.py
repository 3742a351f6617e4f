"""Split frames into parts, near-duplicates kept together."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.distances import near_duplicate_groups
from fisher_mlip.data.frames import Frame, Frames, IntArray
from fisher_mlip.errors import InputError


@dataclass(frozen=True)
class Split:
    """Frames in parts.

    Attributes:
        parts: frames by name, in their first order.
        near_duplicates: frames that have a near-duplicate.
        crossing: of those, how many are in another part than most of their group.
    """

    parts: dict[str, Frames]
    near_duplicates: int
    crossing: int


def split_frames(frames: Frames, held_out_fraction: float, seed: int) -> tuple[Frames, Frames]:
    """Return the frames to train on and those held out, near-duplicates kept together.

    Args:
        frames: at least two.
        held_out_fraction: between 0 and 1.
        seed: of the choice.

    Raises:
        InputError: the fraction leaves one of the two without frames.
    """
    held_out = part_size(held_out_fraction, len(frames))
    split = split_into_parts(frames, {"train": len(frames) - held_out, "held out": held_out}, seed)
    return split.parts["train"], split.parts["held out"]


def refuse_shared_frames(training: Frames, held_out: Frames) -> None:
    """Refuse frames that are to judge a model and are among those it learns from.

    Raises:
        InputError: a configuration is in both.
    """
    known = {configuration(frame) for frame in training}
    shared = sum(configuration(frame) in known for frame in held_out)
    if shared:
        raise InputError(
            f"{shared} of the {len(held_out)} frames in '{held_out.source}' are also among those "
            f"to learn from in '{training.source}': they cannot judge what was learned from them"
        )


def configuration(frame: Frame) -> bytes:
    """Return what makes a frame the configuration it is, whatever its labels: equal if the same."""
    parts = (frame.atomic_numbers, frame.positions, frame.cell * frame.pbc[:, None])
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def part_size(wanted: float, total: int) -> int:
    """Return a number of frames: `wanted` itself, or as a fraction of `total` below one.

    Raises:
        InputError: there are no frames, or `wanted` is negative, no whole number above one, or
            more than there are.
    """
    if total == 0:
        raise InputError("expected at least one frame to split, found none")
    # Written so that a NaN fails.
    if not 0 <= wanted <= total or (wanted > 1 and wanted != int(wanted)):
        raise InputError(
            f"there are {total} frames, expected a fraction below 1 or a number up to {total} for "
            f"a part, found {wanted:g}"
        )
    return round(wanted * total) if wanted < 1 else int(wanted)


def split_into_parts(frames: Frames, sizes: Mapping[str, int], seed: int) -> Split:
    """Deal frames at random into parts of given sizes.

    A group of near-duplicates goes where it fits whole; only when it fits nowhere is it divided,
    and the result says how many frames crossed.

    Args:
        frames: what to split.
        sizes: frames per part; at most `len(frames)` in all.
        seed: of the choice.

    Raises:
        InputError: a part would be empty, or there are too few frames.
    """
    if min(sizes.values()) < 1 or sum(sizes.values()) > len(frames):
        wanted = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise InputError(
            f"there are {len(frames)} frames, asked for are {wanted}: expected at least one frame "
            "in each part and no more than there are"
        )
    groups = near_duplicate_groups(frames)
    part = _deal(groups, np.array(list(sizes.values())), seed)
    grouped = np.bincount(groups)[groups] > 1
    chosen = {
        name: frames.subset(np.flatnonzero(part == index)) for index, name in enumerate(sizes)
    }
    return Split(chosen, int(grouped.sum()), _crossing(groups, part))


def _deal(groups: IntArray, sizes: IntArray, seed: int) -> IntArray:
    generator = np.random.default_rng(seed)
    room = sizes.copy()
    part = np.full(len(groups), -1, dtype=np.int64)
    # Large groups first, as long as parts have room for them; ties at random.
    shuffled = generator.permutation(groups.max() + 1)
    order = shuffled[np.argsort(-np.bincount(groups)[shuffled], kind="stable")]
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    homeless = []
    for group in order:
        fitting = np.flatnonzero(room >= len(members[group]))
        if not len(fitting):
            homeless.extend(members[group])
            continue
        # Chances in proportion to the room left make every part a fair sample.
        chances = room[fitting] / room[fitting].sum()
        where = int(generator.choice(fitting, p=chances))
        part[members[group]] = where
        room[where] -= len(members[group])
    slots = np.repeat(np.arange(len(sizes)), room)
    part[homeless[: len(slots)]] = slots[: len(homeless)]
    return part


def _crossing(groups: IntArray, part: IntArray) -> int:
    counts = np.zeros((groups.max() + 1, part.max() + 1), dtype=np.int64)
    dealt = part >= 0
    np.add.at(counts, (groups[dealt], part[dealt]), 1)
    return int((counts.sum(axis=1) - counts.max(axis=1)).sum())


def part_sizes(total: int, train: float | None, validation: float, test: float) -> dict[str, int]:
    """Return frames per part; a part of none is left out.

    Args:
        total: frames there are.
        train: a fraction below one or a number; None for what the others leave.
        validation: the same.
        test: the same.

    Raises:
        InputError: a fraction or a number that cannot be.
    """
    sizes = {"validation": part_size(validation, total), "test": part_size(test, total)}
    rest = total - sum(sizes.values())
    wanted = {"train": rest if train is None else part_size(train, total)} | sizes
    if train is None and rest < 1:
        asked = " and ".join(f"{size} for {name}" for name, size in sizes.items() if size)
        raise InputError(f"there are {total} frames: {asked} leave none to train on")
    # Fractions that add up to one may round to one frame too many.
    if train is not None and train < 1 and sum(wanted.values()) == total + 1:
        wanted["train"] -= 1
    return {name: size for name, size in wanted.items() if size or name == "train"}
