"""What the closed form costs: a pass over 900 frames with some 800 features, a solve with 2500.

    python scripts/benchmark_pass.py --data DIR [--frames 900] [--solve 2500]

DIR holds train.xyz of rMD17 ethanol. The network is the `default` preset's at 3 Å, with random
weights: what they are does not change the work. Wall and CPU time, threads as torch has them, and
the process's largest memory, start included. The last line printed is JSON.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import torch

from fisher_mlip.allocator import keep_large_blocks
from fisher_mlip.config import HeadConfig
from fisher_mlip.data import read_frames
from fisher_mlip.fisher.heads import attach_head
from fisher_mlip.fisher.normal_equations import accumulate
from fisher_mlip.fisher.solve import LinearSystem, diagonalize, solve
from fisher_mlip.model import CheckpointConfig, new_network
from fisher_mlip.train.settings import training_config

ELEMENTS = [1, 6, 8]
RIDGES = 10.0 ** np.arange(-9, 0)


def one_pass(data: Path, n_frames: int) -> dict[str, float]:
    """Return the cost of the normal equations of the invariants of every layer."""
    frames = read_frames(data / "train.xyz", reference_energies=data / "isolated_atoms.xyz")
    frames = frames.subset(range(n_frames))
    model = training_config("default", None, {"cutoff": 3.0}).model
    config = CheckpointConfig(
        model=model, elements=ELEMENTS, reference_energies=frames.reference_energies
    )
    network = new_network(config).eval()
    attach_head(network, HeadConfig(kind="all-layers"), model, frames, ELEMENTS)
    start, cpu = time.perf_counter(), time.process_time()
    sums = accumulate(network, frames, ELEMENTS)
    return {
        "frames": len(frames),
        "features": sums.n_features,
        "pass_wall_s": time.perf_counter() - start,
        "pass_cpu_s": time.process_time() - cpu,
        "memory_GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def one_solve(n_features: int) -> dict[str, float]:
    """Return the cost of the spectrum and a path of nine ridges."""
    rows = np.random.default_rng(0).normal(size=(2 * n_features, n_features))
    system = LinearSystem(rows.T @ rows / len(rows), rows.T @ rows[:, 0] / len(rows))
    start, cpu = time.perf_counter(), time.process_time()
    spectrum = diagonalize(system)
    for ridge in RIDGES:
        solve(system, spectrum, float(ridge))
    return {
        "solve_features": n_features,
        "solve_wall_s": time.perf_counter() - start,
        "solve_cpu_s": time.process_time() - cpu,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of rMD17 ethanol")
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--solve", type=int, default=2500, help="features of the solve")
    options = parser.parse_args()
    keep_large_blocks()
    found = {"threads": torch.get_num_threads(), **one_pass(options.data, options.frames)}
    found |= one_solve(options.solve)
    for name, value in found.items():
        print(f"{name}: {value:.4g}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
