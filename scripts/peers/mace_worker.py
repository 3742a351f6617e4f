"""MACE: "32x0e + 32x1o", max_ell 2, correlation 3, two interactions, float32, random weights."""

from pathlib import Path
from typing import Any

import mace  # before e3nn 0.4.4, which torch 2.6 and later cannot import without what it sets
import numpy as np
import torch
from measuring import (
    Job,
    ase_times,
    list_microseconds,
    model_file,
    openmm_times,
    read_box,
    run_worker,
)

MODEL_FILE = "mace.model"


def prepare(job: Job) -> dict[str, Any]:
    """Write the network that `mace_run_train --model MACE` makes; its readers want a pickle."""
    from mace import modules

    first = modules.interaction_classes["RealAgnosticInteractionBlock"]
    other = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    from e3nn import o3

    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32)
    network = modules.ScaleShiftMACE(
        atomic_numbers=[1, 6, 8],
        atomic_energies=np.zeros((1, 3)),
        num_elements=3,
        r_max=job.cutoff,
        avg_num_neighbors=job.neighbors,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=2,
        hidden_irreps=o3.Irreps("32x0e + 32x1o"),
        MLP_irreps=o3.Irreps("16x0e"),
        correlation=3,
        num_interactions=2,
        interaction_cls_first=first,
        interaction_cls=other,
        use_reduced_cg=False,
        gate=torch.nn.functional.silu,
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )
    torch.save(network, Path(job.model) / MODEL_FILE)
    return {}


def through_ase(job: Job, **options: Any) -> dict[str, Any]:
    """Time MACECalculator."""
    from mace.calculators import MACECalculator

    calculator = MACECalculator(
        model_paths=str(model_file(job.model, MODEL_FILE)),
        device="cpu",
        default_dtype="float32",
        **options,
    )
    return ase_times(job, calculator) | list_of(job)


def through_openmm(job: Job) -> dict[str, Any]:
    """Time openmm-ml's potential."""
    from openmmml import MLPotential

    potential = MLPotential("mace", modelPath=str(model_file(job.model, MODEL_FILE)))

    def system_of(topology: Any) -> Any:
        return potential.createSystem(topology, removeCMMotion=False, device="cpu")

    return openmm_times(job, system_of) | list_of(job)


def list_of(job: Job) -> dict[str, Any]:
    """Return the time and the size of MACE's own list (matscipy)."""
    from mace.data.neighborhood import get_neighborhood

    atoms = read_box(job)

    def build() -> Any:
        periodic = (True, True, True)
        return get_neighborhood(atoms.positions, job.cutoff, periodic, atoms.cell.array.copy())

    edges = build()[0].shape[1]
    return {
        "version": mace.__version__,
        "atoms": len(atoms),
        "edges": edges,
        "list_us": list_microseconds(build, len(atoms), job),
    }


if __name__ == "__main__":
    run_worker(
        {
            "prepare": prepare,
            "eager": through_ase,
            "compiled": lambda job: through_ase(job, compile_mode="default"),
            "openmm": through_openmm,
        }
    )
