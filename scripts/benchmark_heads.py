"""Closed-form heads on rMD17 ethanol: accuracy and uncertainty.

    python scripts/benchmark_heads.py --data DIR [--seeds 4] [--work FOLDER]

DIR holds train.xyz, test_MD.xyz and isolated_atoms.xyz. Base models are trained into FOLDER, or
taken from there. Prints a table as it goes; the last line is JSON.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from heads_uncertainty import uncertainty_worth
from rich.console import Console
from rich.table import Table
from rmd17_bases import Base, base_model
from training_on import trained_on

from fisher_mlip.allocator import keep_large_blocks
from fisher_mlip.fisher import Options, finetune
from fisher_mlip.model.checkpoint import Checkpoint
from fisher_mlip.train.metrics import errors

console = Console(width=140)
KINDS = ("energy_200", "force_200", "force_900")


def force_mae(checkpoint: Checkpoint, base: Base) -> float:
    """Return the mean absolute force component error on the test frames, meV/Å."""
    return 1000.0 * errors(checkpoint.network, base.test, checkpoint.config).force_mae


def accuracy(base: Base, seed: int) -> dict[str, float]:
    """Return test errors of the base, the plain and the best head, and of training on."""
    plain = finetune(
        base.checkpoint,
        base.training,
        base.held_out,
        options=Options(kinds=("last-layer",), look_outside=False),
    )
    start = time.monotonic()
    best = finetune(base.checkpoint, base.training, base.held_out)
    seconds = time.monotonic() - start
    rival = trained_on(base.checkpoint, base.training, base.held_out, seconds, seed)
    return {
        "base": force_mae(base.checkpoint, base),
        "plain": force_mae(plain.checkpoint, base),
        "best": force_mae(best.checkpoint, base),
        "sgd_same_time": force_mae(rival, base),
        "seconds": seconds,
        "features": float(len(best.shipped.theta)),
        **uncertainty_worth(best.checkpoint, base.test, base.training),
    }


def table(title: str, rows: dict[str, dict[str, float]]) -> Table:
    """Return numbers as a table, one row per model."""
    columns = list(next(iter(rows.values())))
    shown = Table("model", *columns, title=title)
    for name, row in rows.items():
        shown.add_row(name, *(f"{row[column]:.3g}" for column in columns))
    return shown


def measured(options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Return what was measured of each kind, one entry per seed."""
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    rows: dict[str, dict[str, float]] = {}
    for seed in options.seed or range(options.seeds):
        for kind in KINDS:
            base = base_model(options.data, kind, seed, options.work)
            row = accuracy(base, seed)
            found[kind].append(row)
            rows[f"{kind}, seed {seed}"] = row
            console.print(table("accuracy", rows))
    return found


def summarized(rows: list[dict[str, float]]) -> dict[str, object]:
    """Return means and standard deviations over the seeds; null where one is infinite."""
    series = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    finite = {name: bool(np.isfinite(values).all()) for name, values in series.items()}
    return {
        **{name: float(v.mean()) if finite[name] else None for name, v in series.items()},
        "spread": {name: float(v.std()) if finite[name] else None for name, v in series.items()},
        "seeds": len(rows),
    }


def main() -> None:
    """Parse the command line, run, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of rMD17 ethanol")
    parser.add_argument("--seeds", type=int, default=4, help="base models of each kind")
    parser.add_argument("--seed", type=int, action="append", help="these seeds instead")
    parser.add_argument("--work", type=Path, default=Path("runs/heads"), help="of base models")
    options = parser.parse_args()
    keep_large_blocks()
    found = measured(options)
    means = {kind: summarized(rows) for kind, rows in found.items()}
    print(json.dumps(means, allow_nan=False))


if __name__ == "__main__":
    main()
