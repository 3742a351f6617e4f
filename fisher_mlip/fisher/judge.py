"""How much each held-out frame counts when a head is chosen."""

import numpy as np

from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.model.graph import graph_of_frames
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import evaluate

ATOMS_PER_BATCH = 1000
# Times the median frame's error, beyond which a frame's influence stays what it is there.
FAR = 3.0


def judge_weights(network: EquivariantNetwork, frames: Frames, elements: list[int]) -> FloatArray:
    """Return weights (n_frames,) that let no single frame decide.

    Where the pretrained model is off by more than FAR times the median frame's error, a frame's
    squared error is scaled down to that. One frame beyond all others, six times the median, would
    else be a third of a hundred frames' mean square.

    Args:
        network: the pretrained model.
        frames: that judge; one without forces counts 1 (and is refused later).
        elements: the model's atomic numbers.

    Source:
        winsorized residuals (Huber, Robust Statistics, 1981), by frame.
    """
    off = np.concatenate(
        [_errors(network, batch, elements) for batch in frames.batches(ATOMS_PER_BATCH)]
    )
    limit = FAR * float(np.nanmedian(off)) if np.isfinite(off).any() else np.inf
    if limit == 0.0:
        return np.ones(len(off))
    far = off > limit
    return np.where(far, np.square(limit / np.where(far, off, 1.0)), 1.0)


def _errors(network: EquivariantNetwork, frames: Frames, elements: list[int]) -> FloatArray:
    """Return the root mean square force error of each frame, eV/Å; NaN without forces."""
    graph = graph_of_frames(frames, elements, network.cutoff).to(network.energy_scale.device)
    found = evaluate(network, graph).forces.cpu().numpy()
    ends = np.cumsum([frame.n_atoms for frame in frames])[:-1]
    return np.array(
        [
            np.nan if frame.forces is None else float(np.sqrt(np.mean((own - frame.forces) ** 2)))
            for frame, own in zip(frames, np.split(found, ends), strict=True)
        ]
    )
