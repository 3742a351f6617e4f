"""Ours: what `fisher-mlip train` and `finetune` run, in this project's own environment."""

import json
import statistics
import time
from itertools import pairwise
from typing import Any

from training import CURVE_NAME, Clock, TrainingJob, run_training, write_steps

from fisher_mlip.config import TrainConfig
from fisher_mlip.data import Frames, read_frames
from fisher_mlip.fisher import finetune, save_solution
from fisher_mlip.model.checkpoint import Checkpoint, load_checkpoint
from fisher_mlip.products import whole_folder
from fisher_mlip.train import errors, train_model
from fisher_mlip.train.curve import EpochRow
from fisher_mlip.train.settings import training_config

BASE, FISHER = "base", "fisher"


def train(job: TrainingJob) -> dict[str, Any]:
    """Train, then solve for the head, which is the curve's last point."""
    held_out = frames(job, job.validation)
    base, clock = trained(job, held_out)
    solution = finetune(base, frames(job, job.training), held_out)
    after = errors(solution.checkpoint.network, held_out, solution.checkpoint.config)
    clock.validated(job.epochs, after.force_mae, head=True)
    with whole_folder(job.folder / FISHER) as partial:
        save_solution(partial, solution)
    return {"settings": configuration(job).model_dump(mode="json")}


def trained(job: TrainingJob, held_out: Frames) -> tuple[Checkpoint, Clock]:
    """Return the model before the head, and the clock, which runs on."""
    training, config = frames(job, job.training), configuration(job)
    # Graphs, normalization and the choice of threads are on our clock; on the peers' they are not.
    clock = Clock(job.folder)

    def show(row: EpochRow, used: float) -> None:
        clock.validated(row.epoch, row.validation_force_mae_meV_A / 1000.0)

    return train_model(config, training, held_out, job.folder / BASE, show=show), clock


def configuration(job: TrainingJob) -> TrainConfig:
    """Return the preset with what the job replaces; its epochs end the training."""
    settings = dict(job.settings)
    preset = settings.pop("preset")
    asked = {"cutoff": job.cutoff or None, "batch_size": job.batch_size, "device": "cpu"}
    limits = {"max_epochs": job.epochs, "max_seconds": 0.0}
    return training_config(preset, None, asked | limits | settings)


def time_steps(job: TrainingJob) -> dict[str, Any]:
    """Write what a step and a validation take; compiles the fused operators on the way."""
    held_out = frames(job, job.validation)
    base, _ = trained(job, held_out)
    points = [json.loads(line) for line in (job.folder / CURVE_NAME).read_text().splitlines()]
    times = [point["processor_seconds"] for point in points]
    epoch = statistics.median(after - before for before, after in pairwise(times))
    validations = []
    for _ in range(3):  # the first is slower: the network is new to it
        start = time.process_time()
        errors(base.network, held_out, base.config)
        validations.append(time.process_time() - start)
    # Never the whole epoch: steps cost something, whatever the clock says of so short a time.
    validation = min(*validations, 0.5 * epoch)
    n_steps = -(-len(frames(job, job.training)) // job.batch_size)
    write_steps(job.folder, (epoch - validation) / n_steps, validation)
    return {}


def frames(job: TrainingJob, path: str) -> Frames:
    """Return the frames of a file with the energies of the isolated atoms."""
    return read_frames(path, reference_energies=job.isolated_atoms)


def test(job: TrainingJob) -> dict[str, Any]:
    """Return the test errors after the head, and before it."""
    found: dict[str, Any] = {"model": str(job.folder / FISHER)}
    for name, part in (("test_without_head", BASE), ("test", FISHER)):
        checkpoint = load_checkpoint(job.folder / part)
        measured = errors(checkpoint.network, frames(job, job.test), checkpoint.config)
        found["parameters"] = sum(p.numel() for p in checkpoint.network.parameters())
        found[name] = {
            "force_mae_meV_A": round(1000.0 * measured.force_mae, 3),
            "energy_mae_meV": round(1000.0 * measured.energy_mae, 3),
        }
    return found


if __name__ == "__main__":
    run_training({"train": train, "time": time_steps, "test": test})
