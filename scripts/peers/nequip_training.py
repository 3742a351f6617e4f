"""NequIP's own trainer: `python -m nequip.scripts.train` with a configuration as its tutorial's."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from nequip_clock import METRIC
from training import TrainingJob, calculator_errors, run_training

# Of NequIP's tutorial, but the schedule: a cosine is over when the budget is.
SETTINGS = {
    **{"lr": 0.01, "final_lr": 1e-5, "schedule": "cosine", "ema_decay": 0.999},
    **{"energy_weight": 1.0, "forces_weight": 1.0, "compile_mode": "eager"},
    **{"radial_mlp_depth": 1, "radial_mlp_width": 128, "parity": False},
}
BEST = "best.ckpt"
VALIDATION_BATCH = 10


def train(job: TrainingJob) -> dict[str, Any]:
    """Write the configuration and run the trainer, which writes checkpoint and curve."""
    settings = SETTINGS | job.settings
    (job.folder / "train.yaml").write_text(yaml.safe_dump(configuration(job, settings)))
    command = [sys.executable, "-W", "ignore", "-m", "nequip.scripts.train"]
    command += ["-cp", str(job.folder), "-cn", "train", f"hydra.run.dir={job.folder / 'run'}"]
    variables = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    (job.folder / "nequip.log").write_text(ended.stdout + ended.stderr)
    if ended.returncode:
        raise RuntimeError((ended.stdout + ended.stderr).strip().splitlines()[-1])
    return {"settings": settings}


def configuration(job: TrainingJob, settings: dict[str, Any]) -> dict[str, Any]:
    """Return NequIP's configuration."""
    keeper = "lightning.pytorch.callbacks.ModelCheckpoint"
    kept = {"dirpath": str(job.folder), "filename": Path(BEST).stem, "monitor": METRIC}
    return {
        "run": ["train"],
        "data": data(job),
        "trainer": {
            "_target_": "lightning.Trainer",
            **{"accelerator": "cpu", "max_epochs": job.epochs, "logger": False},
            **{"enable_progress_bar": False, "num_sanity_val_steps": 0},
            "callbacks": [
                {"_target_": keeper, **kept},
                {"_target_": "nequip_clock.EpochClock", "folder": str(job.folder)},
            ],
        },
        "training_module": training_module(job, settings),
        "global_options": {"allow_tf32": False},
    }


def data(job: TrainingJob) -> dict[str, Any]:
    """Return the frames, their neighbor lists and statistics."""
    elements = list(job.reference_energies)
    loader = {"_target_": "torch.utils.data.DataLoader", "num_workers": 0}
    return {
        "_target_": "nequip.data.datamodule.ASEDataModule",
        "seed": 0,
        "train_file_path": job.training,
        "val_file_path": job.validation,
        "transforms": [
            {
                "_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper",
                "model_type_names": elements,
                "chemical_species_to_atom_type_map": {name: name for name in elements},
            },
            {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": job.cutoff},
        ],
        "train_dataloader": {**loader, "batch_size": job.batch_size, "shuffle": True},
        "val_dataloader": {**loader, "batch_size": VALIDATION_BATCH},
        "stats_manager": {
            "_target_": "nequip.data.CommonDataStatisticsManager",
            "type_names": elements,
            "dataloader_kwargs": {"batch_size": VALIDATION_BATCH},
        },
    }


def training_module(job: TrainingJob, settings: dict[str, Any]) -> dict[str, Any]:
    """Return loss, optimizer, schedule, averaging and network."""
    weights = {"total_energy": settings["energy_weight"], "forces": settings["forces_weight"]}
    loss = {"_target_": "nequip.train.EnergyForceLoss", "per_atom_energy": True}
    return {
        "_target_": "nequip.train.EMALightningModule",
        "ema_decay": settings["ema_decay"],
        "loss": {**loss, "coeffs": weights},
        "val_metrics": {
            "_target_": "nequip.train.EnergyForceMetrics",
            "coeffs": {"total_energy_mae": 1.0, "forces_mae": 1.0},
        },
        "optimizer": {"_target_": "torch.optim.Adam", "lr": settings["lr"]},
        "lr_scheduler": schedule(job, settings),
        "model": network(job, settings),
    }


def schedule(job: TrainingJob, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the cosine, by steps, or the tutorial's plateau, by epochs."""
    if settings["schedule"] == "plateau":
        plateau = {"factor": 0.6, "patience": 5, "threshold": 0.2, "min_lr": 1e-6}
        name = "torch.optim.lr_scheduler.ReduceLROnPlateau"
        one = {"scheduler": {"_target_": name, **plateau}, "monitor": METRIC}
        return {**one, "interval": "epoch", "frequency": 1}
    with Path(job.training).open() as handle:
        n_frames = sum("Properties=" in line for line in handle)
    steps = job.epochs * -(-n_frames // job.batch_size)
    name = "torch.optim.lr_scheduler.CosineAnnealingLR"
    cosine = {"_target_": name, "T_max": steps, "eta_min": settings["final_lr"]}
    return {"scheduler": cosine, "interval": "step", "frequency": 1}


def network(job: TrainingJob, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the network; those not named are NequIP's defaults."""
    features, degree, layers, _ = job.network
    elements = list(job.reference_energies)
    same = ("compile_mode", "parity", "radial_mlp_depth", "radial_mlp_width")
    return {
        "_target_": "nequip.model.NequIPGNNModel",
        **{"seed": 0, "model_dtype": "float32", "type_names": elements, "r_max": job.cutoff},
        **{"num_layers": layers, "l_max": degree, "num_features": features},
        **{name: settings[name] for name in same},
        "avg_num_neighbors": "${training_data_stats:num_neighbors_mean}",
        "per_type_energy_scales": "${training_data_stats:per_type_forces_rms}",
        "per_type_energy_shifts": job.reference_energies,
    }


def test(job: TrainingJob) -> dict[str, Any]:
    """Return the test errors of the checkpoint, by NequIP's calculator."""
    import torch
    from nequip.integrations.ase import NequIPCalculator

    path = job.folder / BEST
    calculator = NequIPCalculator._from_saved_model(
        str(path), device="cpu", chemical_species_to_atom_type_map=True
    )
    modules = [m for m in vars(calculator).values() if isinstance(m, torch.nn.Module)]
    numbers = {id(p): p.numel() for m in modules for p in m.parameters()}
    return {
        "model": str(path),
        "parameters": sum(numbers.values()),
        "test": calculator_errors(calculator, job.test),
        "validation": calculator_errors(calculator, job.validation),
    }


if __name__ == "__main__":
    run_training({"train": train, "time": train, "test": test})
