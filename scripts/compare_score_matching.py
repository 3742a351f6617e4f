"""Heads solved without forces beside heads solved with them, against the number of frames.

    python scripts/compare_score_matching.py --data FRAMES.xyz --checkpoint FOLDER --temperature T

FRAMES are an equilibrium sample at T kelvin, with forces; the last part of them tests. The head is
the checkpoint's own; both thetas choose their ridge on blocks left out, or keep the base where no
ridge gains. Errors are statistical, of predicted force components. The last line printed is JSON.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fisher_mlip.data import Frames, read_frames
from fisher_mlip.fisher.block_sums import BlockSums, block_sums
from fisher_mlip.fisher.jackknife import RIDGES, Estimate, estimate
from fisher_mlip.fisher.score_matching import N_BLOCKS, configurational_temperature
from fisher_mlip.model.checkpoint import load_checkpoint

BLOCK_FRAMES = 2
FEWEST_FRAMES = 8
SMALL_RIDGE = 1e-6


@dataclass(frozen=True)
class Row:
    """Force RMSE on the test frames and statistical error of forces, meV/Å."""

    frames: int
    score_matched: float
    score_matched_error: float
    score_matched_ridge: float | None
    force_matched: float
    force_matched_error: float


def sums_of(options: argparse.Namespace, frames: Frames, n_blocks: int) -> BlockSums:
    """Return the sums of frames, one network pass."""
    checkpoint = load_checkpoint(options.checkpoint)
    return block_sums(
        checkpoint.network.to(torch.float64),
        frames,
        checkpoint.config.elements,
        n_blocks=n_blocks,
        laplacian="hutchinson" if options.probes else "exact",
        probes=options.probes,
        seed=options.seed,
    )


def regrouped(sums: BlockSums, n_frames: int) -> BlockSums:
    """Return the first frames in `N_BLOCKS` contiguous blocks or fewer."""
    used = sums.first(max(2, n_frames // BLOCK_FRAMES))
    return used.merged(min(N_BLOCKS, len(used.n_frames)))


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Return the table and what the whole sample says."""
    frames = read_frames(options.data)
    order = np.arange(len(frames))
    n_test = max(2, round(options.test_fraction * len(frames)))
    training = frames.subset(order[:-n_test])
    sums = sums_of(options, training, len(training) // BLOCK_FRAMES)
    test = sums_of(options, frames.subset(order[-n_test:]), N_BLOCKS)
    if not (sums.has_forces and test.has_forces):
        raise SystemExit(f"expected forces in every frame of {options.data}")
    sizes = [n for n in FEWEST_FRAMES * 2 ** np.arange(20) if n < len(training)] + [len(training)]
    ridges = RIDGES if options.ridge is None else (options.ridge,)
    rows = [row(regrouped(sums, int(n)), test, options.temperature, ridges) for n in sizes]
    whole = regrouped(sums, len(training))
    temperature, error = configurational_temperature(whole, whole.base + whole.residual)
    return {
        "base_test_rmse": 1000 * test.force_rmse(np.zeros(test.base.shape[1])),
        "features": test.base.shape[1],
        "temperature_K": options.temperature,
        "configurational_temperature_K": temperature,
        "configurational_temperature_error_K": error,
        "frames_worth_one_with_forces": worth(whole, options.temperature),
        "rows": [vars(one) for one in rows],
    }


def worth(sums: BlockSums, temperature: float) -> float:
    """Return how many frames determine theta as well as one with forces: a ratio of variances."""
    score, matched = both(sums, temperature, (SMALL_RIDGE,))
    return (score.force_error / matched.force_error) ** 2


def both(sums: BlockSums, temperature: float, ridges: Sequence[float]) -> tuple[Estimate, Estimate]:
    """Return the estimates without and with forces."""
    score = estimate(sums.gram, sums.score_moment(temperature), sums.n_components, ridges)
    return score, estimate(sums.gram, sums.residual, sums.n_components, ridges)


def row(sums: BlockSums, test: BlockSums, temperature: float, ridges: Sequence[float]) -> Row:
    """Return both heads' errors on the test frames."""
    score, matched = both(sums, temperature, ridges)

    def milli(found: Estimate) -> tuple[float, float]:
        return 1000 * test.force_rmse(found.theta), 1000 * found.force_error

    (a, a_error), (b, b_error) = milli(score), milli(matched)
    return Row(int(sums.n_frames.sum()), a, a_error, score.ridge, b, b_error)


def main() -> None:
    """Parse the command line, run, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="equilibrium frames with forces")
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--temperature", type=float, required=True, help="of the frames, K")
    parser.add_argument("--ridge", type=float, help="take this one; default: the best of many")
    parser.add_argument("--probes", type=int, default=0, help="of Hutchinson; 0: exact Laplacian")
    parser.add_argument("--test-fraction", type=float, default=0.2, help="last part, that tests")
    parser.add_argument("--seed", type=int, default=0, help="of the probes")
    result = compare(parser.parse_args())
    print(f"base {result['base_test_rmse']:.2f} meV/Å on the test frames")
    print("frames  without forces   ridge  with forces  (test RMSE ± statistical, meV/Å)")
    for one in result["rows"]:
        ridge = (
            "kept" if one["score_matched_ridge"] is None else f"{one['score_matched_ridge']:.0e}"
        )
        print(
            f"{one['frames']:6d} {one['score_matched']:8.2f} ±{one['score_matched_error']:6.2f} "
            f"{ridge:>6} {one['force_matched']:8.2f} ±{one['force_matched_error']:6.2f}"
        )
    shown, error = (result[f"configurational_temperature_{k}K"] for k in ("", "error_"))
    print(f"the frames' forces show {shown:.0f} ± {error:.0f} K")
    print(f"{result['frames_worth_one_with_forces']:.0f} frames are worth one with forces")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
