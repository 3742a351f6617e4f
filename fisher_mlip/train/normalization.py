"""What is set from the training frames before the first step: E0s, shifts and scales."""

import math
from collections.abc import Sequence

import torch

from fisher_mlip.data.frames import Frames
from fisher_mlip.data.reference_energies import fit_reference_energies
from fisher_mlip.errors import InputError
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.train.batches import Batch, sum_of_references


def element_shifts(
    frames: Frames, elements: Sequence[int], reference_energies: dict[int, float]
) -> torch.Tensor:
    """Return the energy per element beyond its E0 that fits the frames best, eV.

    A least-squares fit over compositions in float64; where compositions leave it open (molecules
    of one kind), the solution of least norm. Zeros where no frame has an energy.

    Args:
        frames: the training frames.
        elements: in the network's order.
        reference_energies: E0 in eV by atomic number.

    Returns:
        (n_elements,), float64.
    """
    relative = tuple(
        frame.relabelled(energy=frame.energy - sum_of_references(frame, reference_energies))
        for frame in frames
        if frame.energy is not None
    )
    shifts = fit_reference_energies(Frames(relative)).energies if relative else {}
    return torch.tensor([shifts.get(z, 0.0) for z in elements], dtype=torch.float64)


def force_scale(batches: Sequence[Batch]) -> float:
    """Return the root mean square force component, the size of the energies to learn.

    One length unit (Å) turns it into an energy, eV; 1 where all forces vanish or none is known.
    """
    forces = torch.cat([batch.forces for batch in batches])
    known = forces[~torch.isnan(forces)]
    scale = float(known.square().mean().sqrt()) if known.numel() else 0.0
    return scale if scale > 0.0 else 1.0


def neighbor_scale(batches: Sequence[Batch]) -> float:
    """Return 1/sqrt(mean number of neighbors), which keeps a sum over neighbors near one.

    Raises:
        InputError: no atom has a neighbor within the cutoff.
    """
    n_edges = sum(len(batch.graph.senders) for batch in batches)
    n_atoms = sum(batch.graph.n_atoms for batch in batches)
    if n_edges == 0:
        raise InputError("expected atoms with neighbors within the cutoff, found none in any frame")
    return math.sqrt(n_atoms / n_edges)


def normalize_network(
    network: EquivariantNetwork, shifts: torch.Tensor, batches: Sequence[Batch]
) -> None:
    """Set the network's shifts and scales in place."""
    with torch.no_grad():
        network.shift.copy_(shifts)
        network.energy_scale.fill_(force_scale(batches))
        network.message_scale.fill_(neighbor_scale(batches))
