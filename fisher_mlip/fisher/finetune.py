"""The closed-form finetune: a checkpoint and frames -> the same network with the best readout."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fisher_mlip.config import DtypeName
from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.fisher.normal_equations import (
    NormalEquations,
    accumulate,
    save_normal_equations,
)
from fisher_mlip.fisher.offsets import shift_correction
from fisher_mlip.fisher.solve import RIDGES, RidgeRow, Spectrum, ridge_path, solve
from fisher_mlip.model.checkpoint import Checkpoint, save_checkpoint, torch_dtype

GRAM_NAME = "gram.safetensors"


@dataclass(frozen=True, eq=False)
class Solution:
    """What the closed form found.

    Attributes:
        checkpoint: the model with its new readout and energy shifts.
        equations: T and c of the training frames.
        rows: the ridge path.
        spectrum: rank and condition of the scaled T.
        ridge: the one taken, or None where the pretrained readout was best on held-out frames.
        base_training_rmse: force RMSE of the pretrained readout, eV/Å.
        base_held_out_rmse: the same on the held-out frames, eV/Å.
        held_out_rmse: of the readout taken, eV/Å.
        training_hash: of the frames solved from.
    """

    checkpoint: Checkpoint
    equations: NormalEquations
    rows: list[RidgeRow]
    spectrum: Spectrum
    ridge: float | None
    base_training_rmse: float
    base_held_out_rmse: float
    held_out_rmse: float
    training_hash: str

    def summary(self) -> dict[str, Any]:
        """Return the numbers for `summary.json` and the checkpoint's provenance."""
        return {
            "head": "last-layer",
            "features": len(self.equations.moment),
            "frames": self.equations.n_frames,
            "force_components": self.equations.n_components,
            "rank": self.spectrum.rank,
            "condition": self.spectrum.condition,
            "ridge": self.ridge,
            "kept_pretrained_readout": self.ridge is None,
            "base_training_force_rmse_eV_A": self.base_training_rmse,
            "base_held_out_force_rmse_eV_A": self.base_held_out_rmse,
            "held_out_force_rmse_eV_A": self.held_out_rmse,
            "training_hash": self.training_hash,
            "ridge_path": [asdict(row) for row in self.rows],
        }


def finetune(
    checkpoint: Checkpoint,
    training: Frames,
    held_out: Frames,
    *,
    ridges: Sequence[float] = RIDGES,
    device: str = "cpu",
    dtype: DtypeName | None = None,
    advance: Callable[[int], object] = lambda n_frames: None,
) -> Solution:
    """Solve for the last layer's readout and choose its ridge on held-out frames.

    The pretrained readout is a candidate like any other: where no ridge is better than it on the
    held-out frames it is kept, and the solution says so.

    Args:
        checkpoint: the trained model; it is not changed.
        training: frames with forces that T and c are summed over.
        held_out: frames with forces that only choose the ridge.
        ridges: relative to the scaled diagonal of T.
        device: where the Jacobians are computed; the solve is on the CPU in float64.
        dtype: that the features are differentiated in; the checkpoint's own when None. Sums and
            solve are float64, and the solved network has the checkpoint's dtype, whichever it is.
        advance: called with the number of frames just done.

    Raises:
        InputError: frames without forces, unknown elements, or features that never move.

    Source:
        design of this project; minimal Fisher divergence, theta = T^-1 c (see NormalEquations).
    """
    own_dtype = torch_dtype(checkpoint.config.dtype)
    network = copy.deepcopy(checkpoint.network).to(
        device, torch_dtype(dtype) if dtype else own_dtype
    )
    elements = checkpoint.config.elements
    train_sums = accumulate(network, training, elements, advance=advance)
    held_sums = accumulate(network, held_out, elements, advance=advance)
    prior = network.readout.detach().double().cpu().numpy()
    rows, spectrum = ridge_path(train_sums, held_sums, prior, ridges)
    best = min(rows, key=lambda row: row.held_out_force_rmse)
    base_rmse = held_sums.force_rmse(prior)
    ridge = best.ridge if best.held_out_force_rmse < base_rmse else None
    theta = prior if ridge is None else solve(train_sums, spectrum, prior, ridge)
    set_readout(network, theta)
    shift = shift_correction(network, training, elements, checkpoint.config.reference_energies)
    if shift is not None:
        network.shift.data += torch.from_numpy(shift).to(network.shift)
    solution = Solution(
        Checkpoint(network.to("cpu", own_dtype), checkpoint.config),
        train_sums,
        rows,
        spectrum,
        ridge,
        train_sums.force_rmse(prior),
        base_rmse,
        held_sums.force_rmse(theta),
        training.content_hash(),
    )
    return _with_provenance(solution, refit_energies=shift is not None)


def set_readout(network: torch.nn.Module, theta: FloatArray) -> None:
    """Write theta (D,) into the network's readout, rounded to its dtype."""
    readout = network.get_parameter("readout")
    readout.data = torch.from_numpy(np.asarray(theta)).to(readout)


def save_solution(folder: Path, solution: Solution) -> list[Path]:
    """Write the finetuned checkpoint and its normal equations into `folder`."""
    gram = folder / GRAM_NAME
    save_normal_equations(gram, solution.equations, solution.training_hash)
    return [*save_checkpoint(folder, solution.checkpoint), gram]


def _with_provenance(solution: Solution, *, refit_energies: bool) -> Solution:
    before = solution.checkpoint
    fisher = solution.summary() | {"energy_shifts_refitted": refit_energies}
    fisher.pop("ridge_path")
    config = before.config.model_copy(
        update={"provenance": {**before.config.provenance, "fisher": fisher}}
    )
    metrics = {key: value for key, value in fisher.items() if "rmse" in key}
    changed = Checkpoint(before.network, config, metrics)
    return Solution(**{**solution.__dict__, "checkpoint": changed})
