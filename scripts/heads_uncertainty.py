"""Whether a model's uncertainty is worth having: rank correlation, coverage, leaving the data."""

import numpy as np
import torch
from scipy import stats

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.fisher.outside.scans import make_scans
from fisher_mlip.model.checkpoint import Checkpoint
from fisher_mlip.model.graph import graph_of_frames
from fisher_mlip.model.potential import evaluate
from fisher_mlip.model.uncertainty import estimate_uncertainty

FRAMES = 200
# Points of a scan nearer to the data than this are hardly outside.
FIRST_OUTSIDE = 2


def uncertainty_worth(checkpoint: Checkpoint, test: Frames, training: Frames) -> dict[str, float]:
    """Return Spearman's rank correlation of predicted and actual force errors per atom, coverages
    of one and two standard deviations, and the AUROC of bond scans against test frames.

    NaN where the pretrained model was kept, which has no sampled heads.
    """
    names = ("spearman", "coverage_1", "coverage_2", "auroc")
    if checkpoint.network.samples is None:
        return dict.fromkeys(names, float("nan"))
    chosen = test.subset(np.linspace(0, len(test) - 1, FRAMES).astype(int))
    spread, error = _per_atom(checkpoint, chosen)
    # The vector error over its standard deviation: chi with three degrees of freedom.
    ratio = error / (spread / np.sqrt(3.0))
    inside = [float(np.mean(ratio < stats.chi(3).ppf(p))) for p in (0.6827, 0.9545)]
    outside = [
        point
        for scan in make_scans(training)
        if scan.kind in ("stretch", "compress")
        for point in scan.points[FIRST_OUTSIDE:]
    ]
    rng = np.random.default_rng(0)
    outside = [outside[i] for i in rng.permutation(len(outside))[:FRAMES]]
    here, there = _largest(checkpoint, list(chosen)), _largest(checkpoint, outside)
    auroc = stats.mannwhitneyu(there, here).statistic / len(here) / len(there)
    rank = float(stats.spearmanr(spread, error).statistic)
    return dict(zip(names, (rank, *inside, float(auroc)), strict=True))


def _per_atom(checkpoint: Checkpoint, frames: Frames) -> tuple[FloatArray, FloatArray]:
    network, elements = checkpoint.network, checkpoint.config.elements
    spread, error = [], []
    for batch in frames.batches(450):
        graph = graph_of_frames(batch, elements, network.cutoff)
        labels = np.concatenate([frame.forces for frame in batch if frame.forces is not None])
        off = evaluate(network, graph).forces - torch.from_numpy(labels)
        error.append(off.norm(dim=1).numpy())
        forces = estimate_uncertainty(network, graph).forces
        assert forces is not None
        spread.append(forces.numpy())
    return np.concatenate(spread), np.concatenate(error)


def _largest(checkpoint: Checkpoint, frames: list[Frame]) -> FloatArray:
    network, elements = checkpoint.network, checkpoint.config.elements
    found = []
    for frame in frames:
        forces = estimate_uncertainty(
            network, graph_of_frames([frame], elements, network.cutoff)
        ).forces
        assert forces is not None
        found.append(float(forces.max()))
    return np.array(found)
