"""Closed-form heads on rMD17 ethanol: accuracy, uncertainty, and with --dynamics survival.

    python scripts/benchmark_heads.py --data DIR [--seeds 4] [--work FOLDER] [--dynamics]

DIR holds train.xyz, test_MD.xyz and isolated_atoms.xyz. Base models are trained into FOLDER, or
taken from there. Prints a table as it goes; the last line is JSON.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from gas_dynamics import GasDynamics, Survival
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
ACCURACY_KINDS = ("energy_200", "force_200", "force_900")
DYNAMICS_KINDS = ("energy_200", "force_100")
REPLICAS, TEMPERATURE, STEPS, TIMESTEP = 32, 1000.0, 5000, 1.0


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


def dynamics(base: Base, seed: int) -> dict[str, float]:
    """Return survivors and median stable times (ps) of the base and of the shipped head."""
    best = finetune(base.checkpoint, base.training, base.held_out)
    starts = base.test.subset(np.random.default_rng(seed).permutation(len(base.test))[:REPLICAS])
    found: dict[str, float] = {}
    for name, checkpoint in (("base", base.checkpoint), ("head", best.checkpoint)):
        survival: Survival = GasDynamics(checkpoint, starts, TEMPERATURE, seed).run(STEPS, TIMESTEP)
        found[f"{name}_survivors"] = survival.survivors
        found[f"{name}_median_ps"] = survival.median
    found["base_holes"], found["head_holes"] = len(best.base.holes), len(best.shipped.holes)
    found["base_barrier_eV"], found["head_barrier_eV"] = best.base.barrier, best.shipped.barrier
    return found


def table(title: str, rows: dict[str, dict[str, float]]) -> Table:
    """Return numbers as a table, one row per model."""
    columns = list(next(iter(rows.values())))
    shown = Table("model", *columns, title=title)
    for name, row in rows.items():
        shown.add_row(name, *(f"{row[column]:.3g}" for column in columns))
    return shown


def measured(
    options: argparse.Namespace,
    kinds: tuple[str, ...],
    measure: Callable[[Base, int], dict[str, float]],
) -> dict[str, list[dict[str, float]]]:
    """Return what was measured of each kind, one entry per seed."""
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    rows: dict[str, dict[str, float]] = {}
    for seed in options.seed or range(options.seeds):
        for kind in kinds:
            base = base_model(options.data, kind, seed, options.work)
            row = measure(base, seed)
            found[kind].append(row)
            rows[f"{kind}, seed {seed}"] = row
            console.print(table(measure.__name__, rows))
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
    parser.add_argument("--dynamics", action="store_true", help="survival at 1000 K instead")
    options = parser.parse_args()
    keep_large_blocks()
    kinds = DYNAMICS_KINDS if options.dynamics else ACCURACY_KINDS
    found = measured(options, kinds, dynamics if options.dynamics else accuracy)
    means = {kind: summarized(rows) for kind, rows in found.items()}
    print(json.dumps(means, allow_nan=False))


if __name__ == "__main__":
    main()
