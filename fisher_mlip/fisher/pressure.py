"""Pressures of labelled frames: what a head that was solved from forces alone can spoil.

In a box whose shape is fixed no force says what the energy does when the box is strained, so that a
head may lower every force's error and still be kilobars off: its liquid has another density.
"""

from dataclasses import dataclass

import numpy as np
import torch

from fisher_mlip.data.frames import Frames
from fisher_mlip.model.checkpoint import CheckpointConfig
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import evaluate
from fisher_mlip.train.batches import label_frames
from fisher_mlip.units import BAR_PER_EV_PER_ANGSTROM3

ATOMS_PER_BATCH = 1000
# Below this an RMSE is nothing that a barostat shows: 200 bar compress a liquid by about 2 %.
NOTEWORTHY_BAR = 200.0


@dataclass(frozen=True)
class PressureErrors:
    """Errors of the pressure, -tr(stress) / 3.

    Attributes:
        n_frames: compared.
        mean_bar: of model minus label.
        rmse_bar: root mean square.
    """

    n_frames: int
    mean_bar: float
    rmse_bar: float


def pressure_errors(
    network: EquivariantNetwork, frames: Frames, config: CheckpointConfig
) -> PressureErrors | None:
    """Return the network's errors of the pressure, None where no periodic frame has a stress.

    Args:
        network: the model.
        frames: of any kind.
        config: of the network's checkpoint.
    """
    rows = [k for k, frame in enumerate(frames) if frame.is_periodic and frame.stress is not None]
    if not rows:
        return None
    found = []
    for part in frames.subset(rows).batches(ATOMS_PER_BATCH):
        batch = label_frames(part, config).to(network.energy_scale.device)
        predicted = evaluate(network, batch.graph, stress=True).stresses
        assert predicted is not None
        difference = torch.diagonal(predicted - batch.stresses, dim1=1, dim2=2).mean(dim=1)
        found.append(-difference.cpu().numpy())
    errors = np.concatenate(found) * BAR_PER_EV_PER_ANGSTROM3
    return PressureErrors(
        len(errors), float(errors.mean()), float(np.sqrt(np.mean(errors * errors)))
    )
