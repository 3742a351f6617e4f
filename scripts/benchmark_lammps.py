"""Time per step in LAMMPS, on several ranks, beside the OpenMM routes on the same box.

    python scripts/benchmark_lammps.py checkpoint/ --molecules 600 --ranks 1 2 --repeats 3

A random checkpoint of the report's size serves, by `--random`. NVE of liquid ethanol with steps of
0.01 fs: what is timed is the step, not the dynamics. Each line of JSON is one way to run it:
milliseconds per step, median and range over the repeats, each after a warm-up; of LAMMPS also the
parts of its own breakdown. One thread for each rank, and OpenMM on as many threads as there are
ranks.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.io import write

from fisher_mlip.config import DtypeName, ModelConfig, SimulateConfig
from fisher_mlip.data import equilibrated_liquid
from fisher_mlip.export import write_artefact
from fisher_mlip.export.lammps_artefact import write_lammps_artefact
from fisher_mlip.lammps.data_file import type_symbols
from fisher_mlip.lammps.input_script import pair_lines
from fisher_mlip.lammps.inputs import built_system, write_inputs
from fisher_mlip.lammps.launching import build_plugin, lammps_command, lammps_environment
from fisher_mlip.model import Checkpoint, CheckpointConfig, load_checkpoint, new_network
from fisher_mlip.simulate.systems import build_molecular_system

TIMESTEP_FS = 0.01


def main() -> None:
    """Measure and print."""
    options = parse_options()
    if options.openmm:
        print(json.dumps(openmm_steps(options)), flush=True)
        return
    checkpoint = random_checkpoint() if options.random else load_checkpoint(options.checkpoint)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_artefacts(folder, checkpoint, options)
        for line in (*lammps_lines(folder, options), *openmm_lines(folder, options)):
            print(json.dumps(line | {"load": os.getloadavg()[0]}), flush=True)


def random_checkpoint() -> Checkpoint:
    """Return a network of the report's size that nothing was trained on."""
    torch.manual_seed(0)
    config = CheckpointConfig(
        model=ModelConfig(),
        elements=[1, 6, 8],
        reference_energies={1: -13.6, 6: -1030.0, 8: -2042.0},
        dtype="float32",
    )
    network = new_network(config).eval()
    network.message_scale.fill_(0.3)
    return Checkpoint(network, config)


def system_of(box: Path) -> SimulateConfig:
    """Return the box and its steps."""
    return SimulateConfig(
        model="model.lmp.pt",
        engine="lammps",
        system=str(box),
        temperature=300.0,
        timestep=TIMESTEP_FS,
    )


def write_artefacts(folder: Path, checkpoint: Checkpoint, options: argparse.Namespace) -> None:
    """Write both artefacts and LAMMPS's data file."""
    dtype: DtypeName = options.dtype
    (folder / "openmm").mkdir()
    write_artefact(folder / "openmm", checkpoint, dtype)
    liquid = equilibrated_liquid(options.molecules, 300.0, seed=0)
    atoms = Atoms(liquid.atomic_numbers, liquid.positions, cell=liquid.cell, pbc=True)
    write(folder / "ethanol.xyz", atoms, format="extxyz")
    manifest = write_lammps_artefact(folder, checkpoint, dtype).manifest
    config = system_of(folder / "ethanol.xyz")
    write_inputs(folder, built_system(config, manifest), config)


def lammps_lines(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the line of each number of ranks."""
    config = system_of(folder / "ethanol.xyz")
    symbols = type_symbols(build_molecular_system(config, 3.0))
    script = folder / "in.bench"
    runs = [f"run {options.steps}"] * options.repeats
    script.write_text(
        "\n".join(
            [
                *("units metal", "atom_style molecular", "newton on", "read_data ethanol.data"),
                *("special_bonds lj/coul 1 1 1", *pair_lines("model.lmp.pt", symbols, config)),
                *("neighbor 0.5 bin", f"timestep {TIMESTEP_FS * 1e-3}", "fix 1 all nve"),
                *("thermo 1000000", "run 2", *runs, ""),
            ]
        )
    )
    for ranks in options.ranks:
        log = folder / f"log.{ranks}"
        command = lammps_command(script, log, ranks)
        environment = lammps_environment(build_plugin(), 1)
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        yield {
            "engine": "lammps",
            "ranks": ranks,
            "threads": 1,
            **read_log(log.read_text(), options),
        }


def read_log(text: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the milliseconds per step of the runs after the warm-up, and their parts."""
    loops = [float(found) for found in re.findall(r"^Loop time of (\S+)", text, re.MULTILINE)][1:]
    parts = {}
    for part in ("Pair", "Neigh", "Comm"):
        found = re.findall(rf"^{part} +\| \S+ +\| (\S+)", text, re.MULTILINE)[1:]
        parts[f"{part.lower()}_ms"] = float(np.median(np.array(found, float))) * 1e3 / options.steps
    ghosts = re.findall(r"^Nghost: +(\S+) ave", text, re.MULTILINE)[-1]
    return {**spread(np.array(loops) * 1e3 / options.steps), **parts, "ghosts": float(ghosts)}


def spread(values: Any) -> dict[str, float]:
    """Return the median and the range, ms."""
    return {
        "ms_per_step": float(np.median(values)),
        "smallest_ms": float(np.min(values)),
        "largest_ms": float(np.max(values)),
    }


def openmm_lines(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the line of each route and number of threads, each in a process of its own."""
    for threads in options.ranks:
        for route in ("torchforce", "python"):
            command = [sys.executable, __file__, str(folder / "openmm"), "--openmm", route]
            command += ["--steps", str(options.steps), "--repeats", str(options.repeats)]
            environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
            ended = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if ended.returncode:
                print(ended.stderr.strip().splitlines()[-1], file=sys.stderr)
                continue
            yield {"threads": threads, **json.loads(ended.stdout.splitlines()[-1])}


def openmm_steps(options: argparse.Namespace) -> dict[str, Any]:
    """Return the milliseconds per step of one route in this process."""
    from fisher_mlip.allocator import keep_large_blocks
    from fisher_mlip.export import load_artefact
    from fisher_mlip.export.certification import without_certification_warnings
    from fisher_mlip.simulate.engine import build_simulation, set_start

    keep_large_blocks()
    config = system_of(options.checkpoint.parent / "ethanol.xyz").model_copy(
        update={"engine": "openmm", "route": options.openmm, "platform": "CPU"}
    )
    artefact = load_artefact(options.checkpoint)
    molecular = build_molecular_system(config, artefact.manifest.cutoff)
    with without_certification_warnings():
        simulation = build_simulation(molecular, artefact, config, 0, step=0)
    set_start(simulation, molecular, config)
    simulation.step(2)
    found = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        simulation.step(options.steps)
        found.append((time.perf_counter() - start) * 1e3 / options.steps)
    return {"engine": "openmm", "route": simulation.potential.name, **spread(found)}


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, nargs="?", help="checkpoint folder")
    parser.add_argument("--random", action="store_true", help="a network of the report's size")
    parser.add_argument("--molecules", type=int, default=600)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=5, help="of a repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--openmm", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
