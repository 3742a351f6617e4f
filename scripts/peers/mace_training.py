"""MACE's own trainer: what `python -m mace.cli.run_train` runs, with a clock at its log."""

from pathlib import Path
from typing import Any

import mace  # noqa: F401  before e3nn 0.4.4, which torch 2.6 and later cannot import alone
from training import Clock, TrainingJob, calculator_errors, run_training

ATOMIC_NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8}
NAME = "ethanol"
# Those of MACE's README and its defaults; the schedule ends where stage two starts.
FLAGS: dict[str, Any] = {
    **{"model": "MACE", "correlation": 3, "default_dtype": "float32", "device": "cpu"},
    **{"lr": 0.01, "amsgrad": True, "ema": True, "ema_decay": 0.99},
    **{"energy_weight": 1.0, "forces_weight": 100.0},
    **{"scheduler": "ExponentialLR", "final_lr": 0.001},
    **{"swa": True, "swa_lr": 0.001, "swa_energy_weight": 1000.0, "swa_forces_weight": 100.0},
    **{"stage_one_part": 0.75, "plot": False, "seed": 0},
}
# Ours: they become flags of MACE's.
OURS = ("final_lr", "stage_one_part")


def train(job: TrainingJob) -> dict[str, Any]:
    """Run the trainer, which writes model and curve."""
    from mace.cli.run_train import run
    from mace.tools import MetricsLogger, build_default_arg_parser

    clock = Clock(job.folder)
    written = MetricsLogger.log

    def log(self: Any, entry: dict[str, Any]) -> None:
        written(self, entry)
        if entry["mode"] == "opt":
            clock.step()
        elif entry["epoch"] is None:
            clock.start()  # the untrained model is validated: training begins
        else:
            clock.validated(entry["epoch"] + 1, float(entry["mae_f"]))

    MetricsLogger.log = log
    chosen = flags(job)
    run(build_default_arg_parser().parse_args(command_line(chosen)))
    clock.write_steps()
    return {"settings": chosen}


def flags(job: TrainingJob) -> dict[str, Any]:
    """Return the flags of MACE's command line by name."""
    features, degree, layers, hidden = job.network
    settings = FLAGS | job.settings
    numbers = {ATOMIC_NUMBERS[name]: energy for name, energy in job.reference_energies.items()}
    start = max(1, int(settings["stage_one_part"] * job.epochs))
    stage_one = start if settings["swa"] else job.epochs
    settings.setdefault("lr_scheduler_gamma", decay(settings, stage_one))
    found = {
        **{"name": NAME, "work_dir": job.output, "E0s": str(numbers)},
        **{"train_file": job.training, "valid_file": job.validation},
        **{"energy_key": "energy", "forces_key": "forces"},
        **{"r_max": job.cutoff, "max_ell": degree, "num_interactions": layers},
        **{"num_channels": features, "max_L": hidden},
        **{"batch_size": job.batch_size, "max_num_epochs": job.epochs},
        **{name: value for name, value in settings.items() if name not in OURS},
    }
    return found | ({"start_swa": start} if settings["swa"] else {})


def decay(settings: dict[str, Any], epochs: int) -> float:
    """Return the factor by epoch that brings the learning rate to its last."""
    return float((settings["final_lr"] / settings["lr"]) ** (1.0 / max(1, epochs)))


def command_line(chosen: dict[str, Any]) -> list[str]:
    """Return the flags as MACE reads them; some take no value."""
    bare = {"amsgrad", "ema", "swa"}
    return [
        f"--{name}" if name in bare else f"--{name}={value}"
        for name, value in chosen.items()
        if name not in bare or value
    ]


def test(job: TrainingJob) -> dict[str, Any]:
    """Return the test errors by MACE's calculator, of the stage with the better validation."""
    from mace.calculators import MACECalculator

    found = []
    for path in (job.folder / f"{NAME}.model", job.folder / f"{NAME}_stagetwo.model"):
        if path.is_file():
            calculator = calculator_of(MACECalculator, path)
            found.append((calculator_errors(calculator, job.validation), path, calculator))
    validation, path, calculator = min(found, key=lambda entry: entry[0]["force_mae_meV_A"])
    return {
        "model": str(path),
        "parameters": sum(p.numel() for p in calculator.models[0].parameters()),
        "test": calculator_errors(calculator, job.test),
        "validation": validation,
    }


def calculator_of(maker: Any, path: Path) -> Any:
    """Return MACE's calculator of a model."""
    return maker(model_paths=str(path), device="cpu", default_dtype="float32")


if __name__ == "__main__":
    run_training({"train": train, "time": train, "test": test})
