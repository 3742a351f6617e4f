"""NequIP: l_max 2, 3 layers, 32 features, natural parity, float32, one step from random weights."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from measuring import (
    Job,
    ase_times,
    list_microseconds,
    model_file,
    openmm_times,
    read_box,
    run_worker,
)

ELEMENTS = ["H", "C", "O"]
CHECKPOINT, COMPILED = "model.ckpt", "model.nequip.pt2"


def prepare(job: Job) -> dict[str, Any]:
    """Write a checkpoint: what compiling and openmm-ml read, and only training writes it."""
    folder = Path(job.model).resolve()
    (folder / "train.yaml").write_text(yaml.safe_dump(training(job, folder)))
    command = [sys.executable, "-m", "nequip.scripts.train", "-cp", str(folder), "-cn", "train"]
    quietly([*command, f"hydra.run.dir={folder / 'run'}"])
    return {}


def training(job: Job, folder: Path) -> dict[str, Any]:
    """Return the configuration of one step at a learning rate that changes nothing."""
    loader = {"_target_": "torch.utils.data.DataLoader", "batch_size": 1}
    keeper = "lightning.pytorch.callbacks.ModelCheckpoint"
    return {
        "run": ["train"],
        "data": frames(job, loader),
        "trainer": {
            "_target_": "lightning.Trainer",
            **{"accelerator": "cpu", "max_epochs": 1, "logger": False},
            "enable_progress_bar": False,
            "callbacks": [{"_target_": keeper, "dirpath": str(folder), "filename": "model"}],
        },
        "training_module": {
            "_target_": "nequip.train.NequIPLightningModule",
            "loss": {
                "_target_": "nequip.train.EnergyForceLoss",
                "coeffs": {"total_energy": 1.0, "forces": 1.0},
            },
            "val_metrics": {
                "_target_": "nequip.train.EnergyForceMetrics",
                "coeffs": {"total_energy_mae": 1.0, "forces_mae": 1.0},
            },
            "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-9},
            "model": network(job),
        },
        "global_options": {"allow_tf32": False},
    }


def frames(job: Job, loader: dict[str, Any]) -> dict[str, Any]:
    """Return the data of the training: the box, and zeros for what it would be fitted to.

    The file lies beside the box: the checkpoint remembers its path, and compiling reads it again.
    """
    atoms = read_box(job)
    labelled = Path(job.box).with_suffix(".labelled.xyz")
    forces = np.zeros((len(atoms), 3))
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=forces)  # type: ignore[no-untyped-call]
    write(labelled, atoms, format="extxyz")
    return {
        "_target_": "nequip.data.datamodule.ASEDataModule",
        "seed": 0,
        "train_file_path": str(labelled),
        "val_file_path": str(labelled),
        "transforms": [
            {
                "_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper",
                "model_type_names": ELEMENTS,
                "chemical_species_to_atom_type_map": {name: name for name in ELEMENTS},
            },
            {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": job.cutoff},
        ],
        "train_dataloader": loader,
        "val_dataloader": loader,
    }


def network(job: Job) -> dict[str, Any]:
    """Return the network's hyperparameters; those not named are NequIP's defaults.

    Parity is off, as in all of NequIP's presets: the builder's own default would double the
    features and make it slower.
    """
    return {
        "_target_": "nequip.model.NequIPGNNModel",
        **{"seed": 0, "model_dtype": "float32", "type_names": ELEMENTS, "r_max": job.cutoff},
        **{"num_layers": 3, "l_max": 2, "parity": False, "num_features": 32},
        "avg_num_neighbors": job.neighbors,
        **{"per_type_energy_scales": 1.0, "per_type_energy_shifts": 0.0},
    }


def compile_model(job: Job) -> dict[str, Any]:
    """Run NequIP's compile command."""
    source, target = model_file(job.source, CHECKPOINT), Path(job.model) / COMPILED
    options = ["--device", "cpu", "--mode", "aotinductor", "--target", "ase"]
    command = [sys.executable, "-m", "nequip.scripts.compile"]
    quietly([*command, str(source.resolve()), str(target.resolve()), *options])
    return {}


def quietly(command: list[str]) -> None:
    """Run a command, and raise RuntimeError with the last line that it wrote where it fails."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        lines = (ended.stdout + ended.stderr).strip().splitlines() or ["it said nothing"]
        raise RuntimeError(lines[-1])


def eager(job: Job) -> dict[str, Any]:
    """Time the calculator of the checkpoint."""
    from nequip.integrations.ase import NequIPCalculator

    calculator = NequIPCalculator._from_saved_model(
        str(model_file(job.model, CHECKPOINT)), device="cpu", chemical_species_to_atom_type_map=True
    )
    return ase_times(job, calculator) | list_of(job)


def compiled(job: Job) -> dict[str, Any]:
    """Time the calculator of the compiled model."""
    from nequip.integrations.ase import NequIPCalculator

    calculator = NequIPCalculator.from_compiled_model(
        str(Path(job.model) / COMPILED), device="cpu", chemical_species_to_atom_type_map=True
    )
    return ase_times(job, calculator) | list_of(job)


def through_openmm(job: Job) -> dict[str, Any]:
    """Time openmm-ml's potential."""
    from openmmml import MLPotential

    path = str(model_file(job.model, CHECKPOINT))
    potential = MLPotential("nequip", modelPath=path, lengthScale=0.1, energyScale=96.4853)

    def system_of(topology: Any) -> Any:
        return potential.createSystem(topology, removeCMMotion=False, device="cpu")

    return openmm_times(job, system_of) | list_of(job)


def list_of(job: Job) -> dict[str, Any]:
    """Return the time and the size of NequIP's own list (matscipy)."""
    from nequip.data import compute_neighborlist_, from_ase

    atoms = read_box(job)
    data = from_ase(atoms)

    def build() -> Any:
        return compute_neighborlist_(dict(data), job.cutoff)

    return {
        "version": metadata.version("nequip"),
        "atoms": len(atoms),
        "edges": int(build()["edge_index"].shape[1]),
        "list_us": list_microseconds(build, len(atoms), job),
    }


if __name__ == "__main__":
    run_worker(
        {
            "prepare": prepare,
            "compile": compile_model,
            "eager": eager,
            "compiled": compiled,
            "openmm": through_openmm,
        }
    )
