"""A model trained on too little, run hot from the same starts without healing and with it.

    python scripts/heal_demo.py frames.xyz -o runs/heal

Takes configurations of ethanol, labels a few of them by the calculator that heals later, trains a
small network, finetunes and exports it, and for each seed runs it three times from the same start:
to its first alarm; gone back with new velocities at each alarm, the model as it was (the control);
healed. The errors are on frames of FILE that no
model saw. What was made before is used again. Writes `heal.json` and prints it.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fisher_mlip.cli import app
from fisher_mlip.data import Frames, read_frames, write_frames
from fisher_mlip.data.calculators import build_calculator
from fisher_mlip.data.labeling import label_frames
from fisher_mlip.model.checkpoint import load_checkpoint
from fisher_mlip.products import read_json, write_json
from fisher_mlip.train.metrics import errors

PS_PER_FS = 1e-3
MEV_PER_EV = 1000.0
HEALING_KEYS = (
    *("step", "criterion", "made", "frames", "label_force_rmse_before"),
    *("label_force_rmse_after", "held_out_force_rmse_after", "head", "ridge", "sound_step"),
    *("seconds", "model"),
)


def command(*words: object) -> int:
    """Run `fisher-mlip` with words, in this process; return its exit code."""
    return int(app([str(word) for word in words], standalone_mode=False) or 0)


def require(*words: object) -> None:
    """Run `fisher-mlip` with words, and stop where it fails."""
    code = command(*words)
    if code:
        raise SystemExit(code)


def label_parts(options: argparse.Namespace) -> None:
    """Write frames to train on, to hold out, and to test on, labelled alike."""
    root: Path = options.output
    if (root / "test.xyz").exists():
        return
    bare = read_frames(options.file)
    held_out = max(4, options.frames // 3)
    n_needed = options.frames + held_out + options.test_frames
    rows = np.random.default_rng(0).permutation(len(bare))[:n_needed]
    calculator = build_calculator(options.calculator, {})
    found = label_frames(bare.subset(rows.tolist()), calculator).frames
    ends = [0, options.frames, options.frames + held_out, n_needed]
    for name, start, end in zip(("train", "held_out", "test"), ends, ends[1:], strict=False):
        write_frames(root / f"{name}.xyz", found.subset(range(start, end)))


def make_model(options: argparse.Namespace) -> None:
    """Label, train, finetune and export."""
    root: Path = options.output
    label_parts(options)
    train, held_out = root / "train.xyz", root / "held_out.xyz"
    if not (root / "base" / "summary.json").exists():
        length = ["--max-seconds", options.seconds]
        parts = ["--data", train, "--validation", held_out]
        require("train", "--preset", "fast", *length, *parts, "-o", root / "base", "--overwrite")
    if not (root / "finetuned").exists():
        head = ["--head", options.head]
        require("finetune", root / "base", train, "--held-out", held_out, *head, *to(options))
    if not (root / "exported").exists():
        require("export", root / "finetuned", "--no-certify", "-o", root / "exported")


def to(options: argparse.Namespace) -> list[object]:
    """Return the words that say where the finetune goes."""
    return ["-o", options.output / "finetuned"]


def run(options: argparse.Namespace, name: str, seed: int, *more: object) -> dict[str, Any]:
    """Run the model from the start of a seed; return what came of it."""
    folder = options.output / f"{name}-{seed}"
    exported = options.output / "exported"
    system = ["--system", "ethanol-gas", "--molecules", options.molecules, "--seed", seed]
    state = ["--ensemble", "nvt", "--temperature", options.temperature]
    steps = ["--timestep", options.timestep, "--steps", options.steps]
    rows = ["--report-interval", 20, "--trajectory-interval", 100, "--checkpoint-interval", 100]
    words = [*system, *state, *steps, *rows, *more, "-o", folder, "--overwrite"]
    if not (folder / "summary.json").exists():
        command("simulate", exported, *words)
    summary = read_json(folder / "summary.json")
    return {
        "seed": seed,
        "status": summary["status"],
        "message": summary["message"],
        "ps": summary["steps_done"] * options.timestep * PS_PER_FS,
        "alarms": [
            {key: alarm[key] for key in ("step", "criterion", "value", "threshold")}
            for alarm in summary["alarms"]
        ],
        "labels": summary["labels"],
        "healings": [{key: each[key] for key in HEALING_KEYS} for each in summary["healings"]],
    }


def test_errors(folder: Path, frames: Frames) -> float:
    """Return the root mean square force error of a checkpoint, meV/Å."""
    checkpoint = load_checkpoint(folder)
    return MEV_PER_EV * errors(checkpoint.network, frames, checkpoint.config).force_rmse


def tested(options: argparse.Namespace, healed: dict[str, Any], frames: Frames) -> dict[str, float]:
    """Return the errors on the test frames before any healing and after the last one."""
    found = {"finetuned": test_errors(options.output / "finetuned", frames)}
    if healed["healings"]:
        run_folder = options.output / f"with-{healed['seed']}"
        found["healed"] = test_errors(run_folder / healed["healings"][-1]["model"], frames)
    return found


def runs_of(options: argparse.Namespace, seed: int, frames: Frames) -> dict[str, Any]:
    """Return the three runs of a seed, and the test errors of their last models."""
    heal = ["--heal", options.calculator, "--heal-checkpoint", options.output / "finetuned"]
    most = ["--heal-max-labels", options.labels, "--heal-frames", options.labels_at_alarm]
    without = run(options, "without", seed, "--on-alarm", "stop")
    rewound = run(options, "rewound", seed, "--on-alarm", "rewind")
    healed = run(options, "with", seed, *heal, *most)
    test = tested(options, healed, frames)
    return {"without": without, "rewound": rewound, "with": healed, "test_force_rmse_meV_A": test}


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="configurations of ethanol; labels are ignored")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--calculator", default="tblite", help="that labels everything")
    parser.add_argument("--frames", type=int, default=12, help="to train on")
    parser.add_argument("--test-frames", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="of training")
    parser.add_argument("--head", default="all-layers", help="of the finetune; auto tries all")
    parser.add_argument("--molecules", type=int, default=6)
    parser.add_argument("--temperature", type=float, default=1000.0, help="K of the runs")
    parser.add_argument("--timestep", type=float, default=0.5, help="fs")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--labels", type=int, default=200, help="most of a healed run")
    parser.add_argument("--labels-at-alarm", type=int, default=16)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the model where it is not there, run each seed, and write what came of it."""
    options = parsed(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    make_model(options)
    frames = read_frames(options.output / "test.xyz")
    settings = {key: value for key, value in vars(options).items() if key not in ("file", "output")}
    found: dict[str, Any] = {"settings": settings, "load_before": os.getloadavg(), "runs": []}
    for seed in options.seeds:
        found["runs"].append(runs_of(options, seed, frames))
        # After each seed: a stopped demo has what it did.
        write_json(options.output / "heal.json", found)
    write_json(options.output / "heal.json", found | {"load_after": os.getloadavg()})
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
