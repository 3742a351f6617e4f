"""Force error against time of training on rMD17 ethanol, ours beside NequIP's and MACE's trainers.

    python scripts/benchmark_training.py --data DIR --frames 200 --seconds 480 --output FOLDER

DIR holds train.xyz, test_MD.xyz and isolated_atoms.xyz; the last 50 frames of train.xyz validate.
Each trainer is a process of its own on one thread, with the same frames, and prints a JSON line:
its curve, its time and the test errors of its final model. What each is told, and which time
is counted: scripts/peers/README.md.
"""

import argparse
import datetime
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from ase.io import read, write
from benchmark_speed import Line, ask, environment, listed, processor, show
from peer_environments import PEERS, WORKERS, peer_python
from peers.training import CURVE_NAME, STEPS_NAME, TrainingJob

from fisher_mlip.products import whole_file

VALIDATION_FRAMES = 50
THRESHOLDS = (40.0, 35.0, 29.0, 25.0, 20.0, 15.0)
# Steps are timed by a training of a few epochs on a few frames.
TIMED_FRAMES, TIMED_EPOCHS = 60, 3
# Loading, statistics, tables of errors and a machine that others use come on top of the budget.
PATIENCE, PATIENCE_S = 4.0, 1200.0


@dataclass(frozen=True)
class Trainer:
    """Whose trainer: its script, and its defaults where the command line has none.

    Attributes:
        worker: script of this trainer.
        network: features, degree, layers and degree of the messages between layers.
        cutoff: Å; 0 for what its preset says.
    """

    worker: Path
    network: tuple[int, ...]
    cutoff: float


TRAINERS = {
    "ours": Trainer(WORKERS / "our_training.py", (), 0.0),
    "nequip": Trainer(WORKERS / "nequip_training.py", (32, 2, 3, 2), 5.0),
    "mace": Trainer(WORKERS / "mace_training.py", (32, 2, 2, 1), 5.0),
}


def main() -> None:
    """Train, print and write."""
    options = parse_options()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.output or Path(scratch)).resolve()
        lines = []
        for line in trained(options, folder):
            print(json.dumps(line), flush=True)
            lines.append(line)
            if options.json:
                with whole_file(options.json) as partial:
                    partial.write_text("".join(json.dumps(one) + "\n" for one in lines))


def trained(options: argparse.Namespace, folder: Path) -> Iterator[Line]:
    """Yield the line of each trainer, or its error."""
    for who in options.who:
        known = conditions(who, options)
        try:
            yield known | train(who, options, folder / who)
        except RuntimeError as error:
            yield known | {"error": str(error)}


def train(who: str, options: argparse.Namespace, folder: Path) -> Line:
    """Train in a fresh process and return what came of it.

    Raises:
        RuntimeError: the trainer failed, in one sentence.
    """
    trainer = TRAINERS[who]
    python = Path(sys.executable) if who == "ours" else peer_python(PEERS[who])
    job = job_of(who, options, folder)
    variables = environment(1, "tuned")
    limit = PATIENCE * options.seconds + PATIENCE_S

    def run(one: TrainingJob) -> Line:
        one.folder.mkdir(parents=True, exist_ok=True)
        return ask(python, trainer.worker, asdict(one), variables, limit)

    if not job.epochs:
        job = replace(job, epochs=epochs_within(options, run, job))
    show(f"{who} trains")
    wall, used = time.monotonic(), processor_seconds()
    found = run(job)
    spent = {
        "process_seconds": round(time.monotonic() - wall, 1),
        "process_processor_seconds": round(processor_seconds() - used, 1),
    }
    points = curve(folder / CURVE_NAME)
    show(f"{who} is tested")
    return {
        **{"network": job.network, "cutoff": job.cutoff, "batch_size": job.batch_size},
        **{"epochs": points[-1]["epoch"] if points else 0, **found, **spent},
        "seconds_to": first_below(points, "seconds"),
        "processor_seconds_to": first_below(points, "processor_seconds"),
        **run(replace(job, task="test")),
        "load_at_end": round(os.getloadavg()[0], 2),
        "curve": points,
    }


def job_of(who: str, options: argparse.Namespace, folder: Path) -> TrainingJob:
    """Return what the trainer is asked for; the frames it is given are written."""
    if folder.exists():
        raise RuntimeError(f"expected no '{folder.name}' in --output, found one")
    folder.mkdir(parents=True)
    frames: Any = read(options.data / "train.xyz", ":")
    first_held_out = len(frames) - VALIDATION_FRAMES
    if not 0 < options.frames <= first_held_out:
        raise RuntimeError(f"expected --frames of 1 to {first_held_out}, found {options.frames}")
    parts = {
        "training": frames[: options.frames],
        "timed": frames[: min(TIMED_FRAMES, options.frames)],
        "validation": frames[first_held_out:],
    }
    for name, part in parts.items():
        write(folder / f"{name}.xyz", part, format="extxyz")
    isolated_atoms = options.data / "isolated_atoms.xyz"
    network = list(options.network or TRAINERS[who].network)
    return TrainingJob(
        task="train",
        training=str(folder / "training.xyz"),
        validation=str(folder / "validation.xyz"),
        test=str((options.data / "test_MD.xyz").resolve()),
        isolated_atoms=str(isolated_atoms.resolve()),
        reference_energies=reference_energies(isolated_atoms, frames[0].symbols),
        cutoff=TRAINERS[who].cutoff if options.cutoff is None else options.cutoff,
        batch_size=options.batch_size,
        network=network if who != "ours" else [],
        epochs=options.epochs,
        output=str(folder),
        settings=settings_of(who, options),
    )


def settings_of(who: str, options: argparse.Namespace) -> Line:
    """Return what `--set` and `--preset` say of this trainer."""
    given = {name: value for whose, name, value in options.settings if whose == who}
    return ({"preset": options.preset} if who == "ours" else {}) | given


def reference_energies(path: Path, elements: Any) -> dict[str, float]:
    """Return the energies of the isolated atoms by element, eV."""
    found = {str(a.symbols[0]): float(a.get_potential_energy()) for a in read(path, ":")}
    return {name: energy for name, energy in found.items() if name in set(elements)}


def epochs_within(options: argparse.Namespace, run: Any, job: TrainingJob) -> int:
    """Return how many epochs the seconds have room for, by a training of a few on a few frames.

    Counted in processor time: it hardly depends on what else the machine does.
    """
    folder = job.folder / "timed"
    show(f"{job.folder.name} is timed")
    timed = str(job.folder / "timed.xyz")
    run(replace(job, task="time", training=timed, output=str(folder), epochs=TIMED_EPOCHS))
    steps = json.loads((folder / STEPS_NAME).read_text())
    show(f"{job.folder.name}: {steps}")
    n_steps = -(-options.frames // job.batch_size)
    return epochs_of(options.seconds, n_steps, **steps)


def epochs_of(seconds: float, n_steps: int, step_seconds: float, validation_seconds: float) -> int:
    """Return how many epochs there are in `seconds`, 1 at least."""
    return max(1, int(seconds / (n_steps * step_seconds + validation_seconds)))


def curve(path: Path) -> list[Line]:
    """Return the points of a training; half a last line is not one."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def first_below(points: list[Line], clock: str) -> dict[str, float | None]:
    """Return when the validation's force error first was below each threshold, None for never.

    Args:
        points: of the curve.
        clock: `seconds` or `processor_seconds`.
    """
    mae = "validation_force_mae_meV_A"
    return {
        f"{threshold:g}": next((p[clock] for p in points if p[mae] < threshold), None)
        for threshold in THRESHOLDS
    }


def processor_seconds() -> float:
    """Return the processor time of all processes that were started here and ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def conditions(who: str, options: argparse.Namespace) -> Line:
    """Return what is known before a training."""
    ours = {name: metadata.version(name) for name in ("fisher-mlip", "torch", "e3nn")}
    return {
        "who": who,
        "versions": ours if who == "ours" else list(PEERS[who].requirements),
        "frames": options.frames,
        "budget_seconds": options.seconds,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def setting(text: str) -> tuple[str, str, Any]:
    """Read WHO.NAME=VALUE, the value as JSON or else as a word."""
    name, equals, value = text.partition("=")
    who, dot, name = name.partition(".")
    if not (equals and dot and who in TRAINERS):
        raise argparse.ArgumentTypeError(f"expected WHO.NAME=VALUE, found '{text}'")
    try:
        return who, name, json.loads(value)
    except json.JSONDecodeError:
        return who, name, value


def network(text: str) -> tuple[int, ...]:
    """Read features/degree/layers, and the degree of messages (default: 1) where there is one."""
    parts = text.split("/")
    if len(parts) not in (3, 4) or not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"expected FEATURES/DEGREE/LAYERS, found '{text}'")
    numbers = tuple(int(part) for part in parts)
    return numbers if len(numbers) == 4 else (*numbers, 1)


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of rMD17 ethanol")
    parser.add_argument("--frames", type=int, default=200, help="first of train.xyz, trained on")
    parser.add_argument("--who", type=listed(tuple(TRAINERS)), default=list(TRAINERS))
    parser.add_argument("--seconds", type=float, default=480.0, help="of training, processor time")
    parser.add_argument("--epochs", type=int, default=0, help="instead of what the seconds allow")
    parser.add_argument("--cutoff", type=float, help="Å; default: peers 5, ours its preset's")
    parser.add_argument("--batch-size", type=int, default=5)
    parser.add_argument("--preset", default="accurate", help="of ours")
    parser.add_argument("--network", type=network, help="peers': features/degree/layers[/messages]")
    parser.add_argument(
        "--set",
        dest="settings",
        type=setting,
        action="append",
        default=[],
        metavar="WHO.NAME=VALUE",
        help="a trainer's setting: ours.features=16, nequip.schedule=plateau, mace.swa=false",
    )
    parser.add_argument("--output", type=Path, help="folder that keeps the models; default: none")
    parser.add_argument("--json", type=Path, help="file of the lines")
    return parser.parse_args()


if __name__ == "__main__":
    main()
