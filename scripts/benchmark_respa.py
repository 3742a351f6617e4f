"""r-RESPA in liquid ethanol: speed, drift and noise of the energy where the model is called less.

NVE, the model every M inner steps, the classical force field (or a second model) at every one:

    python scripts/benchmark_respa.py model.pt --molecules 64 --picoseconds 2 -o respa

A line of JSON for each M: ms per inner step, the slope of the total energy with its 95 % interval
and the standard deviation about it. The slope is that after the first fifth: the liquid comes from
the force field, not from the model.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from fisher_mlip.config import SimulateConfig
from fisher_mlip.simulate import run_simulation
from fisher_mlip.slopes import fit_slope
from fisher_mlip.units import KJ_PER_MOL_PER_EV

REPORT_FS = 8.0
ATOMS_PER_MOLECULE = 9


def main() -> None:
    """Run each M and print its line."""
    options = parse_options()
    for inner_steps in options.every:
        print(json.dumps(measure(options, inner_steps)), flush=True)


def measure(options: argparse.Namespace, inner_steps: int) -> dict[str, Any]:
    """Return speed and energy of a run whose model is called every `inner_steps` inner steps."""
    outer = options.timestep * inner_steps
    steps = round(options.picoseconds * 1000.0 / outer)
    interval = max(1, round(REPORT_FS / outer))
    config = SimulateConfig(
        model=str(options.model),
        system="ethanol-liquid",
        molecules=options.molecules,
        temperature=options.temperature,
        timestep=outer,
        inner=options.inner,
        respa_steps=inner_steps,
        steps=steps,
        report_interval=interval,
        trajectory_interval=steps,
        checkpoint_interval=steps,
        seed=options.seed,
    )
    folder = options.output / f"every{inner_steps:02d}"
    summary = run_simulation(config, folder, overwrite=True)
    rows = np.loadtxt(folder / "ledger.csv", delimiter=",", ndmin=2)
    kept = rows[len(rows) // 5 :]
    mev_per_atom = 1000.0 / KJ_PER_MOL_PER_EV / (ATOMS_PER_MOLECULE * options.molecules)
    slope = fit_slope(kept[:, 1], kept[:, 4] * mev_per_atom, seed=0)
    return {
        "model_every": inner_steps,
        "inner": options.inner,
        "inner_step_fs": options.timestep,
        "status": summary.status,
        "molecules": options.molecules,
        "picoseconds": summary.steps_done * outer / 1000.0,
        "ms_per_inner_step": 1000.0 * summary.seconds / (summary.steps_done * inner_steps),
        "ns_per_day": summary.ns_per_day,
        "drift_mev_per_atom_per_ps": slope.value,
        "drift_low": slope.low,
        "drift_high": slope.high,
        "is_resolved": slope.is_resolved,
        "fluctuation_mev_per_atom": slope.residual_std,
        "temperature_K": float(kept[:, 5].mean()),
    }


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="exported model: model.pt or its folder")
    parser.add_argument("--inner", default="opls", help="opls or a cheaper exported model")
    parser.add_argument("--every", type=int, nargs="+", default=[1, 2, 4, 8], help="inner steps")
    parser.add_argument("--molecules", type=int, default=64)
    parser.add_argument("--picoseconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--timestep", type=float, default=0.5, help="fs, of the inner potential")
    parser.add_argument("--temperature", type=float, default=300.0, help="K, at the start")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("respa"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
