"""Time per atom and step of liquid ethanol, ours beside NequIP's and MACE's.

    python scripts/benchmark_speed.py --artefact exported --cutoff 3 5 --output docs/speed.json

A JSON line for each measurement, each in a process of its own: the median over the steps after a
warm-up, with quartiles, µs per atom and step; a peer that fails has a line with its error. The
last line has what was measured on, and how many times faster each of ours is than the best peer
with the same cutoff and allocator. What is timed exactly: scripts/peers/README.md.
"""

import argparse
import datetime
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io import read, write
from peer_environments import PEERS, WORKERS, Peer, peer_python, peers_folder
from vesin import ase_neighbor_list

from fisher_mlip.data import equilibrated_liquid
from fisher_mlip.errors import InputError
from fisher_mlip.export import load_artefact
from fisher_mlip.products import whole_file, whole_folder

Line = dict[str, Any]
# Ours does this in its commands (fisher_mlip.allocator); the environment does it for anyone.
ALLOCATORS = {
    "stock": {},
    "tuned": {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "17179869184",
        "MALLOC_TOP_PAD_": "1073741824",
    },
}
OUR_ROUTES = ("torchforce", "python")
# Models are made, and NequIP's are compiled, from this box: any liquid has its neighbors.
SMALL_BOX_MOLECULES = 64
TIMEOUT_S = 1800
LONGEST_ERROR = 300


@dataclass(frozen=True)
class Measurement:
    """What one process measures: whose, how, and the worker's interpreter, script and model."""

    name: str
    version: str
    route: str
    cutoff: float
    artefact: str | None
    python: Path
    worker: Path
    model: Path


def main() -> None:
    """Measure, print and write."""
    options = parse_options()
    box = options.box or liquid_box(options.molecules)
    lines = []
    for line in measured(options, box):
        print(json.dumps(line), flush=True)
        lines.append(line)
    last = conditions(box) | ratios(lines)
    print(json.dumps(last), flush=True)
    if options.output:
        with whole_file(options.output) as partial:
            partial.write_text(json.dumps({"lines": lines, **last}, indent=1) + "\n")


def measured(options: argparse.Namespace, box: Path) -> Iterator[Line]:
    """Yield the lines, those of the peers first."""
    threads = options.threads
    for cutoff in options.cutoff:
        for peer in (PEERS[name] for name in options.peers):
            trained = dict(options.trained).get(peer.name)
            for route in peer.routes:
                failed = failure_line(peer.name, peer.version, route, cutoff, threads)
                try:
                    measurement = of_peer(peer, route, cutoff, threads, trained)
                except (RuntimeError, InputError) as error:
                    yield failed | {"error": str(error)}
                    continue
                for line in with_allocators(measurement, options, box):
                    yield line | ({"trained": str(trained)} if trained else {})
    for folder in options.artefact:
        for route in OUR_ROUTES:
            yield from with_allocators(of_ours(folder, route), options, box)


def failure_line(name: str, version: str, route: str, cutoff: float, threads: int) -> Line:
    """Return what is known of a measurement before it is made."""
    known = {"name": name, "version": version, "route": route, "cutoff": cutoff}
    return {**known, "artefact": None, "threads": threads}


def of_ours(folder: Path, route: str) -> Measurement:
    """Return what measures one of our artefacts."""
    cutoff = load_artefact(folder).manifest.cutoff
    name, version = "fisher-mlip", metadata.version("fisher-mlip")
    worker, python = WORKERS / "ours.py", Path(sys.executable)
    return Measurement(name, version, route, cutoff, str(folder), python, worker, folder)


def of_peer(
    peer: Peer, route: str, cutoff: float, threads: int, trained: Path | None
) -> Measurement:
    """Return what measures a peer, whose environment and model are made if they are not there.

    Args:
        peer: whose.
        route: how it runs.
        cutoff: Å; of the model, if that is given.
        threads: of the code that is compiled ahead.
        trained: file of a model that training wrote; None for one of random weights.

    Raises:
        RuntimeError: one of them cannot be made.
    """
    python = peer_python(peer)
    model = trained or prepared(peer, cutoff, "prepare", "", threads)
    if route == "compiled" and peer.compiled_ahead:
        model = prepared(peer, cutoff, "compile", str(model), threads)
    return Measurement(peer.name, peer.version, route, cutoff, None, python, peer.worker, model)


def prepared(peer: Peer, cutoff: float, task: str, source: str, threads: int) -> Path:
    """Return the folder of a peer's model, whole or not at all.

    Raises:
        RuntimeError: the peer cannot make it.
    """
    # The code that torch's inductor writes has the number of threads in it.
    ending = f"-compiled-{threads}-threads" if task == "compile" else ""
    if Path(source).is_file():
        ending += "-of-" + hashlib.sha256(Path(source).read_bytes()).hexdigest()[:12]
    folder = peers_folder() / "models" / f"{peer.name}-{peer.version}-cutoff-{cutoff:g}{ending}"
    if folder.is_dir():
        return folder
    small = liquid_box(SMALL_BOX_MOLECULES)
    job = {"task": task, "cutoff": cutoff, "neighbors": mean_neighbors(small, cutoff)}
    show(f"{folder} is made")
    with whole_folder(folder) as partial:
        job |= {"box": str(small), "model": str(partial), "source": source}
        ask(peer_python(peer), peer.worker, job, environment(threads, "stock"))
    return folder


def liquid_box(molecules: int) -> Path:
    """Return the file of an equilibrated box of ethanol at 0.789 g/cm³, kept for later runs."""
    path = peers_folder() / "boxes" / f"ethanol-{molecules}.xyz"
    if not path.is_file():
        show(f"{molecules} ethanols are packed and equilibrated")
        liquid = equilibrated_liquid(molecules, 300.0, seed=0)
        atoms = Atoms(liquid.atomic_numbers, liquid.positions, cell=liquid.cell, pbc=True)
        with whole_file(path) as partial:
            write(partial, atoms, format="extxyz")
    return path


def mean_neighbors(box: Path, cutoff: float) -> float:
    """Return the mean number of neighbors within the cutoff."""
    atoms = read(box)
    senders, _ = ase_neighbor_list("ij", atoms, cutoff)
    return round(len(senders) / len(atoms), 2)


def with_allocators(
    measurement: Measurement, options: argparse.Namespace, box: Path
) -> Iterator[Line]:
    """Yield the line of each allocator."""
    for allocator in options.allocator:
        yield measure(measurement, options, box, allocator)


def measure(
    measurement: Measurement, options: argparse.Namespace, box: Path, allocator: str
) -> Line:
    """Return the line of one process: what it measured, or its error."""
    one = measurement
    show(f"{one.name} {one.artefact or one.version}, {one.route}, {one.cutoff:g} Å, {allocator}")
    known = failure_line(one.name, one.version, one.route, one.cutoff, options.threads)
    known |= {"artefact": one.artefact, "allocator": allocator}
    known["load"] = round(os.getloadavg()[0], 2)
    job = {
        **{"task": one.route, "cutoff": one.cutoff, "neighbors": 0.0},
        **{"box": str(box), "model": str(one.model)},
        **{"steps": options.steps, "warm_up": options.warm_up},
    }
    try:
        return known | ask(one.python, one.worker, job, environment(options.threads, allocator))
    except RuntimeError as error:
        return known | {"error": str(error)}


def environment(threads: int, allocator: str) -> dict[str, str]:
    """Return the environment of a process: its threads, and no allocator but the one asked for."""
    taken = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "PYTHONPATH")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(taken)}
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENMM_CPU_THREADS")
    return {
        **kept,
        **{name: str(threads) for name in counts},
        # torch's code for this machine outlives the process: compiling takes minutes.
        "TORCHINDUCTOR_CACHE_DIR": str(peers_folder() / "inductor"),
        "CUDA_VISIBLE_DEVICES": "",
        **ALLOCATORS[allocator],
    }


def ask(
    python: Path, worker: Path, job: Line, variables: dict[str, str], timeout: float = TIMEOUT_S
) -> Line:
    """Run a worker and return what its last line says; it has `timeout` seconds.

    Raises:
        RuntimeError: it failed, in one sentence.
    """
    command = [str(python), "-W", "ignore", str(worker), json.dumps(job)]
    try:
        ended = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"it was not done after {timeout:g} s") from None
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"exit code {ended.returncode}: {said[-1][:LONGEST_ERROR]}")
    found: Line = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def ratios(lines: list[Line]) -> Line:
    """Return how many times as long as ours the best peer takes, by cutoff and allocator.

    Args:
        lines: measurements; those with an error are left out.

    Returns:
        `ratio_to_best_peer`, by our artefact and route, cutoff and allocator; `best_peer`, by
        cutoff and allocator. None where there is nothing to compare with.
    """
    best: dict[str, dict[str, str | None]] = {}
    compared: dict[str, dict[str, dict[str, float | None]]] = {}
    done = [line for line in lines if "error" not in line]
    for line in done:
        if line["artefact"] is None:
            continue
        cutoff, allocator = f"{line['cutoff']:g}", line["allocator"]
        same = [
            peer
            for peer in done
            if peer["artefact"] is None
            and (peer["cutoff"], peer["allocator"]) == (line["cutoff"], allocator)
        ]
        first = min(same, key=median, default=None)
        named = f"{first['name']} {first['version']}, {first['route']}" if first else None
        best.setdefault(cutoff, {})[allocator] = named
        ratio = round(median(first) / median(line), 3) if first else None
        ours = compared.setdefault(f"{line['artefact']}, {line['route']}", {})
        ours.setdefault(cutoff, {})[allocator] = ratio
    return {"ratio_to_best_peer": compared, "best_peer": best}


def median(line: Line) -> float:
    """Return a line's median time."""
    return float(line["us_per_atom_step"]["median"])


def conditions(box: Path) -> Line:
    """Return when, where and with which versions of ours it was measured."""
    names = ("fisher-mlip", "torch", "openmm", "e3nn", "vesin-torch", "numpy")
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "box": box.name,
        "versions": {name: metadata.version(name) for name in names},
        "peers": {peer.name: list(peer.requirements) for peer in PEERS.values()},
    }


def processor() -> str:
    """Return the name of the CPU."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown CPU"


def show(text: str) -> None:
    """Say how far it is, on stderr."""
    print(text, file=sys.stderr, flush=True)


def listed(known: tuple[str, ...]) -> Any:
    """Return a reader of names with commas between them."""

    def names(text: str) -> list[str]:
        found = [name for name in text.split(",") if name]
        unknown = [name for name in found if name not in known]
        if unknown:
            expected = ", ".join(known)
            raise argparse.ArgumentTypeError(f"expected {expected}, found '{unknown[0]}'")
        return found

    return names


def trained_model(text: str) -> tuple[str, Path]:
    """Read PEER=FILE."""
    name, _, path = text.partition("=")
    if name not in PEERS or not Path(path).is_file():
        expected = f"PEER=FILE, a peer of {', '.join(PEERS)}"
        raise argparse.ArgumentTypeError(f"expected {expected}, found '{text}'")
    return name, Path(path).resolve()


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--artefact", type=Path, action="append", default=[], help="folder of ours")
    parser.add_argument("--peers", type=listed(tuple(PEERS)), default=list(PEERS))
    parser.add_argument("--allocator", type=listed(tuple(ALLOCATORS)), default=list(ALLOCATORS))
    parser.add_argument("--cutoff", type=float, nargs="+", default=[3.0], help="of the peers, Å")
    parser.add_argument(
        "--trained",
        type=trained_model,
        action="append",
        default=[],
        metavar="PEER=FILE",
        help="model of benchmark_training.py to time, instead of random weights; say its --cutoff",
    )
    parser.add_argument("--molecules", type=int, default=600)
    parser.add_argument("--box", type=Path, help="extended XYZ to take instead")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=5, help="steps before, 3 at least")
    parser.add_argument("--output", type=Path, help="JSON file of everything")
    options = parser.parse_args()
    if options.warm_up < 3 or options.steps < 1:
        parser.error("expected --warm-up of 3 or more and --steps of 1 or more")
    return options


if __name__ == "__main__":
    main()
