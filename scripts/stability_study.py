"""Does a Fisher head steady dynamics? Base models on rMD17 ethanol, each with four ways to go on.

    python scripts/stability_study.py --data DIR --work FOLDER --output docs/stability

DIR holds train.xyz, test_MD.xyz and isolated_atoms.xyz. A base model is run as it is (`default`),
with its last layer solved for (`plain`), with the head that `finetune` ships (`best`), and trained
on for as long as that took (`trained_on`; three learning rates, each with all of the time; both in
processor time, on one thread where OMP_NUM_THREADS=1 says so); by `--variants` also with the last
layer trained on observables (`stable`: StABlE at 500 K, from `plain`). The
same test frames and velocities start all of them, in NVE, the replicas being molecules that do not
see each other. What FOLDER holds already is taken, so that a study that was stopped goes on. Writes
`stability_study.json`; a line of JSON for each base model and temperature as it goes.
"""

import argparse
import datetime
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from rmd17_bases import KINDS, Base, base_model
from stability_summary import improvement_where_default_fails, row_of
from stable_training import stable_trained
from training_on import trained_on

from fisher_mlip.allocator import keep_large_blocks
from fisher_mlip.compare import compare_models
from fisher_mlip.config import SimulateConfig
from fisher_mlip.data import write_frames
from fisher_mlip.export import write_artefact
from fisher_mlip.fisher import Options, finetune
from fisher_mlip.model import Checkpoint, load_checkpoint, save_checkpoint
from fisher_mlip.products import read_json, whole_file, whole_folder, write_summary
from fisher_mlip.train.metrics import errors

VARIANTS = ("default", "plain", "best", "trained_on")
ALL_VARIANTS = (*VARIANTS, "stable")
STABLE_SETTINGS = {"stable_ps": 2.0, "iterations": 8, "replicas": 16}
STUDY_KINDS = ("energy_200", "force_200", "energy_900", "force_900")
Line = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """What is asked for, and where it goes."""

    data: Path
    work: Path
    kinds: tuple[str, ...]
    seeds: tuple[int, ...]
    temperatures: tuple[float, ...]
    replicas: int
    picoseconds: float
    timestep: float
    variants: tuple[str, ...]


def main() -> None:
    """Run what is not there yet, and write what came of all."""
    study, output = parse_options()
    keep_large_blocks()
    rows = []
    for seed in study.seeds:
        for kind in study.kinds:
            for row in rows_of(study, kind, seed):
                print(json.dumps(row), flush=True)
                rows.append(row)
    result = {
        **conditions(study),
        "improvement_where_default_fails": improvement_where_default_fails(rows),
        "base_models": rows,
    }
    output.mkdir(parents=True, exist_ok=True)
    with whole_file(output / "stability_study.json") as partial:
        partial.write_text(json.dumps(result, indent=1) + "\n")


def rows_of(study: Study, kind: str, seed: int) -> list[Line]:
    """Return one base model's rows, one for each temperature."""
    base = base_model(study.data, kind, seed, study.work / "bases")
    folder = study.work / "variants" / f"{kind}-{seed}"
    facts = {
        name: variant(folder / name, make)
        for name, make in makers(base, folder, seed).items()
        if name in study.variants
    }
    starts = study.work / "starts" / f"seed-{seed}.xyz"
    if not starts.is_file():
        chosen = np.random.default_rng(seed).permutation(len(base.test))[: study.replicas]
        starts.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(starts) as partial:
            write_frames(partial, base.test.subset(chosen))
    rows = []
    for temperature in study.temperatures:
        config = run_config(study, starts, temperature, seed)
        place = study.work / "runs" / f"{kind}-{seed}-{temperature:g}K"
        models = [folder / name / "exported" for name in study.variants]
        start = time.monotonic()
        compared, _ = compare_models(
            models, config, place, replicas=study.replicas, labels=study.variants
        )
        known = {"kind": kind, "seed": seed, "temperature_K": temperature}
        known |= {"load": round(os.getloadavg()[0], 2)}
        known |= {"seconds": round(time.monotonic() - start, 1)}
        rows.append(known | {"variants": row_of(compared, facts)})
    return rows


def run_config(study: Study, starts: Path, temperature: float, seed: int) -> SimulateConfig:
    """Return the runs' configuration, but for the model."""
    steps = round(1000.0 * study.picoseconds / study.timestep)
    return SimulateConfig.model_validate(
        {
            **{"model": "", "system": "ethanol-gas", "ensemble": "nve", "seed": seed},
            **{"temperature": temperature, "timestep": study.timestep, "steps": steps},
            **{"start_frames": str(starts), "watch": {"enabled": False}},
            # A break is dated to 20 fs.
            **{"report_interval": 20, "trajectory_interval": 20, "checkpoint_interval": 1000},
        }
    )


def makers(base: Base, folder: Path, seed: int) -> dict[str, Callable[[], tuple[Checkpoint, Line]]]:
    """Return what makes each variant, with what is known of how."""

    def default() -> tuple[Checkpoint, Line]:
        return base.checkpoint, {"seconds": 0.0}

    def solved(options: Options | None) -> tuple[Checkpoint, Line]:
        start = time.process_time()
        given = {} if options is None else {"options": options}
        found = finetune(base.checkpoint, base.training, base.held_out, **given)
        return found.checkpoint, {
            "seconds": round(time.process_time() - start, 1),
            "features": len(found.shipped.theta),
            "holes": len(found.shipped.holes),
            "barrier_eV": round(float(found.shipped.barrier), 3),
        }

    def on() -> tuple[Checkpoint, Line]:
        seconds = read_json(folder / "best" / "summary.json", ("seconds",))["seconds"]
        model = trained_on(base.checkpoint, base.training, base.held_out, seconds, seed)
        return model, {"seconds": 3.0 * seconds}

    plain = Options(kinds=("last-layer",), look_outside=False)
    measured = {
        "default": default,
        "plain": lambda: solved(plain),
        "best": lambda: solved(None),
        "trained_on": on,
        "stable": lambda: stable_trained(base, plain, seed, **STABLE_SETTINGS),
    }

    def with_errors(make: Callable[[], tuple[Checkpoint, Line]]) -> tuple[Checkpoint, Line]:
        checkpoint, facts = make()
        tested = errors(checkpoint.network, base.test, checkpoint.config)
        return checkpoint, facts | {
            "test_force_mae_meV_A": round(1000.0 * tested.force_mae, 2),
            "test_energy_mae_meV": round(1000.0 * tested.energy_mae, 2),
        }

    return {name: (lambda make=make: with_errors(make)) for name, make in measured.items()}  # type: ignore[misc]


def variant(folder: Path, make: Callable[[], tuple[Checkpoint, Line]]) -> Line:
    """Return what is known of a variant, which is made and exported unless it is there."""
    if not (folder / "summary.json").is_file():
        checkpoint, facts = make()
        with whole_folder(folder, overwrite=True) as partial:
            save_checkpoint(partial / "checkpoint", checkpoint)
            (partial / "exported").mkdir()
            write_artefact(partial / "exported", load_checkpoint(partial / "checkpoint"), "float32")
            write_summary(partial, facts)
    return read_json(folder / "summary.json", ("seconds", "test_force_mae_meV_A"))


def conditions(study: Study) -> Line:
    """Return when and how it was made."""
    names = ("fisher-mlip", "torch", "openmm", "e3nn", "numpy")
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "versions": {name: metadata.version(name) for name in names},
        "kinds": {
            kind: {"frames": KINDS[kind].n_frames, **KINDS[kind].options} for kind in study.kinds
        },
        "seeds": list(study.seeds),
        "replicas": study.replicas,
        "picoseconds": study.picoseconds,
        "timestep_fs": study.timestep,
        "ensemble": "NVE from test frames, velocities of the temperature",
    }


def parse_options() -> tuple[Study, Path]:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of rMD17 ethanol")
    parser.add_argument("--work", type=Path, default=Path("runs/stability"))
    parser.add_argument("--output", type=Path, default=Path("docs/stability"))
    parser.add_argument("--kinds", nargs="+", default=STUDY_KINDS, choices=tuple(KINDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--temperatures", type=float, nargs="+", default=[500.0, 1000.0], help="K")
    parser.add_argument("--replicas", type=int, default=32)
    parser.add_argument("--picoseconds", type=float, default=5.0, help="of each run")
    parser.add_argument("--timestep", type=float, default=1.0, help="fs")
    parser.add_argument("--variants", nargs="+", default=VARIANTS, choices=ALL_VARIANTS)
    given = parser.parse_args()
    study = Study(
        given.data,
        given.work,
        tuple(given.kinds),
        tuple(given.seeds),
        tuple(given.temperatures),
        given.replicas,
        given.picoseconds,
        given.timestep,
        tuple(name for name in ALL_VARIANTS if name in given.variants),
    )
    return study, given.output


if __name__ == "__main__":
    main()
