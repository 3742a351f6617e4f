"""Constants of the energy: forces say nothing of them, so they are fitted to energies."""

import numpy as np
import torch

from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.model.graph import graph_of_frames, species_of
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import evaluate

ATOMS_PER_BATCH = 4500


def predicted_energies(
    network: EquivariantNetwork, frames: Frames, elements: list[int]
) -> FloatArray:
    """Return (n_frames,) energies in eV relative to isolated atoms."""
    device = network.energy_scale.device
    energies = [
        evaluate(network, graph_of_frames(batch, elements, network.cutoff).to(device)).energies
        for batch in frames.batches(ATOMS_PER_BATCH)
    ]
    predicted: FloatArray = torch.cat(energies).cpu().numpy()
    return predicted


def shift_correction(
    network: EquivariantNetwork,
    frames: Frames,
    elements: list[int],
    reference_energies: dict[int, float],
) -> FloatArray | None:
    """Return what to add to each element's shift (eV) so that energies fit best, or None.

    Least squares over compositions, of least norm: frames of one composition fix only the sum.
    None where no frame has an energy.
    """
    labelled = frames.subset(i for i, frame in enumerate(frames) if frame.energy is not None)
    if len(labelled) == 0:
        return None
    counts = np.stack(
        [
            np.bincount(species_of(frame.atomic_numbers, elements), minlength=len(elements))
            for frame in labelled
        ]
    ).astype(np.float64)
    e0 = np.array([reference_energies[z] for z in elements])
    targets = np.array([frame.energy for frame in labelled], dtype=np.float64) - counts @ e0
    residual = targets - predicted_energies(network, labelled, elements)
    # Per atom, as energies are trained: a liquid box must not outweigh a hundred molecules.
    n_atoms = counts.sum(axis=1)
    correction: FloatArray = np.linalg.lstsq(
        counts / n_atoms[:, None], residual / n_atoms, rcond=1e-8
    )[0]
    return correction
