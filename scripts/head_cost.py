"""What a head costs per step: exported models side by side on a box of liquid ethanol.

    python scripts/head_cost.py CHECKPOINT [CHECKPOINT ...] [--molecules 600] [--repeats 9]

The first checkpoint is what the others are compared with. Each is exported, and one evaluation of
energy and forces (the work of a step) is timed in turn, round after round, CPU time on one thread;
then, of each that has sampled heads, the uncertainty of the eager model beside its forces. The last
line printed is JSON.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fisher_mlip.allocator import keep_large_blocks
from fisher_mlip.data import Frame
from fisher_mlip.data.ethanol import ethanol_numbers
from fisher_mlip.data.packing import pack_ethanol
from fisher_mlip.export import write_artefact
from fisher_mlip.model import Checkpoint, evaluate, load_checkpoint
from fisher_mlip.model.graph import graph_of_frames
from fisher_mlip.model.uncertainty import estimate_uncertainty
from fisher_mlip.units import NM_PER_ANGSTROM

DENSITY = 0.785  # g/cm3


def timed(module: torch.nn.Module, positions: torch.Tensor, box: torch.Tensor) -> float:
    """Return the CPU seconds of one energy with its gradient."""
    moving = positions.clone().requires_grad_(True)
    start = time.process_time()
    torch.autograd.grad(module(moving, box), moving)
    return time.process_time() - start


def uncertainty_cost(checkpoint: Checkpoint, frame: Frame) -> dict[str, float]:
    """Return what uncertainties cost, in evaluations of energy and forces; nothing without them."""
    network = checkpoint.network.requires_grad_(False)
    if network.samples is None:
        return {}
    graph = graph_of_frames([frame], checkpoint.config.elements, network.cutoff)
    works: list[Callable[[], object]] = [
        lambda: evaluate(network, graph),
        lambda: estimate_uncertainty(network, graph, forces=False),
        lambda: estimate_uncertainty(network, graph),
    ]
    seconds = []
    for work in works:
        work()
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return {
        "energy_uncertainty": seconds[1] / seconds[0],
        "force_uncertainty": seconds[2] / seconds[0],
    }


def line(row: dict[str, Any]) -> str:
    """Return what was found of a checkpoint."""
    low, high = row["ratio_range"]
    text = f"{row['checkpoint']}: {row['median_s']:.3f} s, "
    text += f"{row['ratio']:.3f} [{low:.3f}, {high:.3f}] of the first"
    if "force_uncertainty" in row:
        text += f"; uncertainty of energies {row['energy_uncertainty']:.1f}, of forces "
        text += f"{row['force_uncertainty']:.1f} evaluations"
    return text


def main() -> None:
    """Export, time in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--molecules", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    keep_large_blocks()
    torch.set_num_threads(1)
    positions, cell = pack_ethanol(options.molecules, DENSITY, seed=0)
    place = torch.from_numpy(positions * NM_PER_ANGSTROM)
    box = torch.from_numpy(cell * NM_PER_ANGSTROM)
    numbers = ethanol_numbers(options.molecules)
    checkpoints = [load_checkpoint(path) for path in options.checkpoints]
    with tempfile.TemporaryDirectory() as folder:
        modules = []
        for k, checkpoint in enumerate(checkpoints):
            (Path(folder) / str(k)).mkdir()
            artefact = write_artefact(Path(folder) / str(k), checkpoint)
            modules.append(artefact.bind(numbers, periodic=True))
    for module in modules * 2:
        timed(module, place, box)
    rounds = np.array([[timed(m, place, box) for m in modules] for _ in range(options.repeats)])
    ratios = rounds / rounds[:, :1]
    found = [
        {
            "checkpoint": path.name,
            "median_s": float(np.median(rounds[:, k])),
            "ratio": float(np.median(ratios[:, k])),
            "ratio_range": [float(ratios[:, k].min()), float(ratios[:, k].max())],
            **uncertainty_cost(checkpoints[k], Frame(numbers, positions, cell, np.ones(3, bool))),
        }
        for k, path in enumerate(options.checkpoints)
    ]
    for row in found:
        print(line(row))
    print(json.dumps({"molecules": options.molecules, "heads": found}))


if __name__ == "__main__":
    main()
