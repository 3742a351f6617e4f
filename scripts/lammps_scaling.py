"""What a rank of LAMMPS evaluates beyond its own atoms, and a paper estimate of strong scaling.

    OMP_NUM_THREADS=1 python scripts/lammps_scaling.py --random --ranks 1 2 4 8 16 32 64 128 256 512

A box of liquid ethanol (and one eight times as large, `--copies 2`) is cut into as many equal
bricks as there are ranks. Of one brick the shells are made as the pair style makes them, and the
model is evaluated over them on one thread: what a rank computes in a step is measured, whatever the
number of ranks. What is on paper is the communication: positions to the ghosts and forces back, six
messages each way, at a latency and a bandwidth that are options. Lines of JSON, one for each number
of ranks.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fisher_mlip.allocator import keep_large_blocks
from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import FloatArray, Frame, IntArray
from fisher_mlip.export.lammps_artefact import LammpsArtefact, write_lammps_artefact
from fisher_mlip.export.shells import Shells, make_shells
from fisher_mlip.fused.loading import why_no_operators
from fisher_mlip.model import Checkpoint, build_graph, load_checkpoint
from fisher_mlip.simulate.structures import frame_of
from fisher_mlip.simulate.systems import build_molecular_system

BYTES_PER_GHOST = 24  # three float64, out as positions and back as forces
MESSAGES = 12  # six faces, both ways
SKIN = 0.5  # Å


def main() -> None:
    """Measure and print."""
    options = parse_options()
    torch.set_num_threads(1)
    keep_large_blocks()
    if options.kernel == "fused" and (problem := why_no_operators(build=True)):
        raise SystemExit(problem)
    checkpoint = random_checkpoint() if options.random else load_checkpoint(options.checkpoint)
    with tempfile.TemporaryDirectory() as name:
        artefact = write_lammps_artefact(Path(name), checkpoint, "float32")
        frame = repeated(liquid(options.molecules), options.copies)
        whole = None
        for ranks in options.ranks:
            line = measure(artefact, frame, ranks, options)
            whole = whole or line["step_ms"] * ranks
            line["efficiency"] = whole / (ranks * line["step_ms"])
            print(json.dumps(line | {"load": os.getloadavg()[0]}), flush=True)


def random_checkpoint() -> Checkpoint:
    """Return a network of the report's size that nothing was trained on."""
    from benchmark_lammps import random_checkpoint as made

    return made()


def liquid(molecules: int) -> Frame:
    """Return a box of liquid ethanol."""
    config = SimulateConfig(
        model="", system="ethanol-liquid", molecules=molecules, temperature=300.0
    )
    molecular = build_molecular_system(config, 3.0)
    return frame_of(molecular.topology, molecular.positions, molecular.cell)


def repeated(frame: Frame, copies: int) -> Frame:
    """Return the box repeated along each axis."""
    steps = np.stack(np.meshgrid(*[np.arange(copies)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = np.concatenate([frame.positions + step @ frame.cell for step in steps])
    numbers = np.tile(frame.atomic_numbers, len(steps))
    return Frame(numbers, positions, frame.cell * copies, frame.pbc)


def grid_of(ranks: int) -> tuple[int, int, int]:
    """Return the bricks along each axis, as near to a cube as they come."""
    best = (ranks, 1, 1)
    for a in range(1, ranks + 1):
        for b in range(1, ranks // a + 1):
            if ranks % (a * b) == 0:
                grid = (a, b, ranks // (a * b))
                best = grid if max(grid) - min(grid) < max(best) - min(best) else best
    return best


def measure(
    artefact: LammpsArtefact, frame: Frame, ranks: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Return what the first brick evaluates, and what a step of it takes."""
    manifest = artefact.manifest
    grid, lengths = grid_of(ranks), np.diagonal(frame.cell)
    scaled = np.mod(frame.positions / lengths, 1.0) * np.array(grid)
    own = (scaled < 1.0).all(axis=1)
    shells = shells_of_rank(frame, own, manifest.elements, manifest.cutoff, manifest.num_iterations)
    seconds = []
    for _ in range(options.repeats + 1):
        start = time.perf_counter()
        artefact.energies_and_slopes(shells, kernel=options.kernel)
        seconds.append(time.perf_counter() - start)
    compute = 1e3 * float(np.median(seconds[1:]))
    ghosts = ghosts_of(lengths, grid, manifest.receptive_field + SKIN, len(frame.positions))
    communication = 1e3 * (
        MESSAGES * options.latency_us * 1e-6
        + 2 * BYTES_PER_GHOST * ghosts / (options.bandwidth_gb_s * 1e9)
    )
    edges, layers = np.array(shells.edges_within), manifest.num_iterations
    return {
        "atoms": len(frame.positions),
        "ranks": ranks,
        "grid": "x".join(map(str, grid)),
        "own_atoms": shells.atoms_within[0],
        "evaluated_atoms": shells.atoms_within[-1],
        "ghosts": round(ghosts),
        "own_edges": int(edges[0]),
        "edges_by_layer": edges[::-1].tolist(),
        # Beyond layers times the own edges; and were all layers to take what the first one needs.
        "halo_factor": float(edges.sum() / (layers * edges[0])),
        "halo_factor_untrimmed": float(edges[-1] / edges[0]),
        "compute_ms": compute,
        "communication_ms_on_paper": communication if ranks > 1 else 0.0,
        "step_ms": compute + (communication if ranks > 1 else 0.0),
    }


def shells_of_rank(
    frame: Frame, own: IntArray, elements: list[int], cutoff: float, n_layers: int
) -> Shells:
    """Return the shells of some atoms of a periodic box, images of one atom taken as one."""
    graph = build_graph(frame, elements, cutoff)
    order = np.argsort(~own, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    vectors: FloatArray = graph.edge_vectors(graph.positions, graph.cells).numpy()
    return make_shells(
        graph.species.numpy()[order],
        vectors,
        place[graph.senders.numpy()],
        place[graph.receivers.numpy()],
        n_own=int(own.sum()),
        n_layers=n_layers,
    )


def ghosts_of(lengths: FloatArray, grid: tuple[int, int, int], reach: float, n_atoms: int) -> float:
    """Return how many ghosts surround a brick, by volume."""
    brick = lengths / np.array(grid)
    return n_atoms / lengths.prod() * ((brick + 2.0 * reach).prod() - brick.prod())


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, nargs="?", help="checkpoint folder")
    parser.add_argument("--random", action="store_true", help="a network of the report's size")
    parser.add_argument("--molecules", type=int, default=600)
    parser.add_argument("--copies", type=int, default=1, help="of the box, along each axis")
    parser.add_argument(
        "--ranks", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kernel", default="fused", choices=["fused", "torchscript"])
    parser.add_argument("--latency-us", type=float, default=2.0, help="of a message")
    parser.add_argument("--bandwidth-gb-s", type=float, default=10.0, help="of a rank")
    return parser.parse_args()


if __name__ == "__main__":
    main()
