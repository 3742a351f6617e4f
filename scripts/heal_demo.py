"""A model trained on too little, run hot from the same start without healing and with it.

    python scripts/heal_demo.py -o runs/heal_demo

Samples a few gas-phase ethanols with OPLS-AA, trains a small network on them, finetunes and exports
it by the commands of `fisher-mlip`, and runs it twice: the first run stops at its first alarm, the
second is healed by OPLS-AA. What was made before is used again. The last line printed is JSON.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fisher_mlip.config import write_yaml
from fisher_mlip.products import read_json

PS_PER_FS = 1e-3


def command(*words: object) -> int:
    """Run `fisher-mlip` with words; return its exit code."""
    arguments = [sys.executable, "-m", "fisher_mlip", *(str(word) for word in words)]
    return subprocess.run(arguments, check=False, stdout=sys.stderr).returncode


def require(*words: object) -> None:
    """Run `fisher-mlip` with words, and stop where it fails."""
    code = command(*words)
    if code:
        raise SystemExit(code)


def make_model(options: argparse.Namespace) -> Path:
    """Sample, train, finetune and export; return the exported folder."""
    root: Path = options.output
    frames, split, exported = root / "frames.xyz", root / "split", root / "exported"
    if exported.exists():
        return exported
    if not frames.exists():
        sampling = ["--frames", options.frames, "--temperature", options.sampled, "--seed", 0]
        require("data", "generate", "ethanol", "--phase", "gas", *sampling, "-o", frames)
    if not split.exists():
        part = max(2, options.frames // 5)
        require("data", "split", frames, "--validation", part, "--test", 0, "-o", split)
    base, solved = root / "base", root / "finetuned"
    parts = ["--data", split / "train.xyz", "--validation", split / "validation.xyz"]
    if not (base / "summary.json").exists():
        write_yaml(root / "train.yaml", network(options))
        training = ["--config", root / "train.yaml", "--overwrite"]
        require("train", *training, *parts, "-o", base)
    if not solved.exists():
        held_out = ["--held-out", split / "validation.xyz"]
        require("finetune", base, split / "train.xyz", *held_out, "-o", solved)
    require("export", solved, "--dtype", "float64", "--no-certify", "-o", exported)
    return exported


def network(options: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration of a training."""
    model = {"features": options.features, "max_degree": 1, "num_iterations": 2}
    weights = {"energy_weight": 1.0, "forces_weight": 10.0}
    return {"model": model, "max_epochs": options.epochs, "dtype": "float64", **weights}


def run(options: argparse.Namespace, exported: Path, name: str, *more: object) -> dict[str, Any]:
    """Run the model from the common start; return what came of it."""
    system = ["--molecules", options.molecules, "--temperature", options.temperature]
    steps = ["--timestep", options.timestep, "--steps", options.steps, "--ensemble", "nvt"]
    folder = options.output / name
    command("simulate", exported, *system, *steps, "--seed", 1, *more, "-o", folder, "--overwrite")
    summary = read_json(folder / "summary.json")
    return {
        "status": summary["status"],
        "message": summary["message"],
        "ps_survived": summary["steps_done"] * options.timestep * PS_PER_FS,
        "alarms": [[alarm["step"], alarm["criterion"]] for alarm in summary["alarms"]],
        "healings": len(summary["healings"]),
        "labels": summary["labels"],
    }


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=30, help="that are sampled")
    parser.add_argument("--sampled", type=float, default=300.0, help="K of the frames")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--features", type=int, default=16)
    parser.add_argument("--molecules", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=800.0, help="K of the runs")
    parser.add_argument("--timestep", type=float, default=0.5, help="fs")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--labels", type=int, default=100, help="most of the healed run")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the model where it is not there, run it twice, and print what came of it."""
    options = parsed(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    exported = make_model(options)
    heal = ["--heal", "opls", "--heal-max-labels", options.labels]
    found = {
        "without": run(options, exported, "without", "--on-alarm", "stop"),
        "with": run(options, exported, "with", *heal),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
