"""Errors of a network's energies and forces against labelled frames, batch after batch."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from fisher_mlip.data.frames import Frames
from fisher_mlip.errors import InputError
from fisher_mlip.model.checkpoint import CheckpointConfig
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import Prediction, evaluate
from fisher_mlip.train.batches import Batch, label_frames

ATOMS_PER_BATCH = 1000


@dataclass(frozen=True)
class ForceEnergyErrors:
    """Mean absolute and root mean square errors; NaN where there was no label.

    Attributes:
        n_frames: frames with an energy.
        n_force_components: components compared.
        energy_mae: of a frame's total energy, eV.
        energy_rmse: eV.
        energy_per_atom_mae: of a frame's energy divided by its atoms, eV.
        energy_per_atom_rmse: eV.
        force_mae: of a component, eV/Å.
        force_rmse: eV/Å.
    """

    n_frames: int
    n_force_components: int
    energy_mae: float
    energy_rmse: float
    energy_per_atom_mae: float
    energy_per_atom_rmse: float
    force_mae: float
    force_rmse: float

    def as_metrics(self, prefix: str = "") -> dict[str, float | int]:
        """Return the numbers by name, energies in meV and forces in meV/Å, as summaries hold them.

        Args:
            prefix: put before every name, as in `validation_`.
        """
        metrics: dict[str, float | int] = {}
        for name, value in asdict(self).items():
            if name.startswith("n_"):
                metrics[prefix + name] = value
            else:
                unit = "meV_A" if name.startswith("force") else "meV"
                metrics[f"{prefix}{name}_{unit}"] = 1000.0 * value
        return metrics


class ErrorSums:
    """Running sums of |error|, error^2 and counts, in float64; sums of processes add up."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        # Rows: energy, energy per atom, force component. Columns: |error|, error^2, count.
        self.sums = torch.zeros((3, 3), dtype=torch.float64, device=device)

    def add(self, prediction: Prediction, batch: Batch) -> None:
        """Add the errors of one batch."""
        atoms = batch.graph.atoms_per_frame()
        energies, forces = prediction.energies.detach(), prediction.forces.detach()
        self.sums += torch.stack(
            [
                _sums(energies, batch.energies),
                _sums(energies / atoms, batch.energies / atoms),
                _sums(forces, batch.forces),
            ]
        )

    def errors(self) -> ForceEnergyErrors:
        """Return the errors of all that was added."""
        counts = self.sums[:, 2]
        mae = (self.sums[:, 0] / counts).tolist()
        rmse = (self.sums[:, 1] / counts).sqrt().tolist()
        return ForceEnergyErrors(
            n_frames=int(counts[0]),
            n_force_components=int(counts[2]),
            energy_mae=mae[0],
            energy_rmse=rmse[0],
            energy_per_atom_mae=mae[1],
            energy_per_atom_rmse=rmse[1],
            force_mae=mae[2],
            force_rmse=rmse[2],
        )


def _sums(predicted: Tensor, label: Tensor) -> Tensor:
    # By the label: a prediction that is NaN must not go unseen.
    known = ~torch.isnan(label)
    difference = (predicted - label)[known]
    return torch.stack([difference.abs().sum(), difference.square().sum(), known.sum()])


def errors(
    network: EquivariantNetwork,
    frames: Frames,
    config: CheckpointConfig,
    *,
    atoms_per_batch: int = ATOMS_PER_BATCH,
) -> ForceEnergyErrors:
    """Return the network's errors on labelled frames, on the network's device.

    Args:
        network: the model.
        frames: with energies or forces or both.
        config: of the network's checkpoint: its elements, reference energies and cutoff.
        atoms_per_batch: what is held in memory at once; a frame is never split.

    Raises:
        InputError: no frames, or an element that the model does not know.
    """
    if not len(frames):
        raise InputError("expected frames to compare with, found none")
    device = network.energy_scale.device
    sums = ErrorSums(device)
    for part in frames.batches(atoms_per_batch):
        batch = label_frames(part, config).to(device)
        sums.add(evaluate(network, batch.graph), batch)
    return sums.errors()
