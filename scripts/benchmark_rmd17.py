"""Accuracy on rMD17 ethanol: trains, finetunes with the Fisher head, tests.

    python scripts/benchmark_rmd17.py --data DIR [--frames 900] [--seconds 540] [--output FOLDER]

DIR holds train.xyz, test_MD.xyz and isolated_atoms.xyz. The last 100 frames of train.xyz choose
the best epoch and the ridge. The last line printed is JSON.
"""

import argparse
import json
import tempfile
from pathlib import Path

from fisher_mlip.allocator import keep_large_blocks
from fisher_mlip.data import read_frames
from fisher_mlip.data.checks import check_trainable
from fisher_mlip.fisher import finetune
from fisher_mlip.train import errors, train_model
from fisher_mlip.train.progress import EpochLines
from fisher_mlip.train.settings import training_config

VALIDATION_FRAMES = 100


def benchmark(data: Path, n_frames: int, seconds: float, output: Path) -> dict[str, float]:
    """Return what was measured; the checkpoint stays in `output`."""
    isolated_atoms = data / "isolated_atoms.xyz"
    everything = read_frames(data / "train.xyz", reference_energies=isolated_atoms)
    test = read_frames(data / "test_MD.xyz", reference_energies=isolated_atoms)
    check_trainable(everything)
    first_held_out = len(everything) - VALIDATION_FRAMES
    if not 0 < n_frames <= first_held_out:
        raise SystemExit(f"expected --frames of 1 to {first_held_out}, found {n_frames}")
    training = everything.subset(range(n_frames))
    held_out = everything.subset(range(first_held_out, len(everything)))

    config = training_config("accurate", None, {"max_seconds": seconds})
    base = train_model(config, training, held_out, output, overwrite=True, show=EpochLines())
    finetuned = finetune(base, training, held_out).checkpoint
    tested = errors(base.network, test, base.config)
    improved = errors(finetuned.network, test, finetuned.config)
    return {
        "train_frames": n_frames,
        "train_seconds": base.metrics["seconds"],
        "epochs": base.metrics["epochs"],
        "test_force_mae_meV_A": 1000.0 * tested.force_mae,
        "test_energy_mae_meV": 1000.0 * tested.energy_mae,
        "finetuned_test_force_mae_meV_A": 1000.0 * improved.force_mae,
        "finetuned_test_energy_mae_meV": 1000.0 * improved.energy_mae,
    }


def main() -> None:
    """Parse the command line, run, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of rMD17 ethanol")
    parser.add_argument("--frames", type=int, default=900, help="to train on")
    parser.add_argument("--seconds", type=float, default=540.0, help="of training")
    parser.add_argument("--output", type=Path, help="checkpoint folder to keep; default: none")
    options = parser.parse_args()
    keep_large_blocks()
    with tempfile.TemporaryDirectory() as scratch:
        output = options.output or Path(scratch) / "base"
        measured = benchmark(options.data, options.frames, options.seconds, output)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
