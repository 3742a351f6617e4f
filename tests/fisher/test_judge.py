"""No single held-out frame decides, and one that is like the others counts as they do."""

from collections.abc import Callable

import numpy as np
import pytest

from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.fisher.judge import FAR, judge_weights
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.model.graph import graph_of_frames

ELEMENTS = [1, 6, 8]
MakeCheckpoint = Callable[..., Checkpoint]


@pytest.fixture(scope="module")
def checkpoint(random_checkpoint: MakeCheckpoint) -> Checkpoint:
    return random_checkpoint()


def off_by(checkpoint: Checkpoint, frame: Frame, error: float) -> Frame:
    """Return the frame with every force component `error` from the model's."""
    own = evaluate(checkpoint.network, build_graph(frame, ELEMENTS, 3.0)).forces.numpy()
    return frame.relabelled(forces=own + error)


def judged(checkpoint: Checkpoint, frames: Frames, sizes: list[float]) -> list[float]:
    changed = Frames(tuple(off_by(checkpoint, f, e) for f, e in zip(frames, sizes, strict=False)))
    return judge_weights(checkpoint.network, changed, ELEMENTS).tolist()


def test_frames_like_each_other_count_alike(checkpoint: Checkpoint, ethanol_frames: Frames) -> None:
    assert judged(checkpoint, ethanol_frames, [1.0, 2.0, 0.9, 1.1, 2.9, 1.0]) == [1.0] * 6


def test_a_frame_far_off_has_the_influence_of_one_just_far(
    checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    sizes = [1.0, 1.0, 30.0, 1.0, 1.0]
    weights = judged(checkpoint, ethanol_frames, sizes)
    assert weights[2] == pytest.approx((FAR / 30.0) ** 2, rel=1e-4)
    assert weights[:2] + weights[3:] == [1.0] * 4
    influence = np.array(weights) * np.square(sizes)
    assert influence[2] == pytest.approx(FAR**2, rel=1e-4)


def test_where_most_frames_have_no_error_none_is_far_off(
    checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    """A limit of nothing would silence the only frame that tells anything."""
    network, found = checkpoint.network, list(ethanol_frames.subset(range(4)))
    # In one batch, as they are judged: to the last bit the model's own.
    graph = graph_of_frames(Frames(tuple(found)), ELEMENTS, 3.0)
    own = evaluate(network, graph).forces.numpy().reshape(4, 9, 3)
    errors = [0.0, 0.0, 0.0, 1.0]
    found = [f.relabelled(forces=x + e) for f, x, e in zip(found, own, errors, strict=True)]
    assert judge_weights(network, Frames(tuple(found)), ELEMENTS).tolist() == [1.0] * 4


def test_frames_without_forces_are_left_to_whoever_needs_them(
    checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    bare = Frames(tuple(frame.relabelled(forces=None) for frame in ethanol_frames))
    assert judge_weights(checkpoint.network, bare, ELEMENTS).tolist() == [1.0] * len(bare)
