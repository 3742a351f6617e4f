"""The edge kernel: a network as edge vectors -> atomic energies and slopes, whichever way it runs.

Neighbor list, edge vectors and the sums of slopes to forces stay outside; they are the same for
every way of running the network.
"""

from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from fisher_mlip.export.torchscript import unoptimized

KernelName = Literal["torchscript", "fused"]


class Kernel(Protocol):
    """What a potential asks of a network."""

    def __call__(
        self,
        species: Tensor,
        edge_vectors: Tensor,
        senders: Tensor,
        receivers: Tensor,
        head_scale: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return atomic energies and the slopes of their sum along the edge vectors.

        Args:
            species: (n_atoms,), index of the element in the model's list.
            edge_vectors: (n_edges, 3), Å, float64, from receiver to sender.
            senders: (n_edges,).
            receivers: (n_edges,).
            head_scale: (), float64, what the head's term is multiplied by.

        Returns:
            (n_atoms,) eV and (n_edges, 3) eV/Å, both float64.
        """
        ...


class DifferentiatedKernel(torch.nn.Module):
    """A network, eager or scripted, and its reverse pass to the edge vectors."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.dtype = network.energy_scale.dtype

    def forward(
        self,
        species: Tensor,
        edge_vectors: Tensor,
        senders: Tensor,
        receivers: Tensor,
        head_scale: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return atomic energies and slopes, as `Kernel` says."""
        # Whoever calls may have switched gradients off.
        with torch.enable_grad():
            vectors = edge_vectors.detach().requires_grad_(True)
            near = vectors.to(self.dtype)
            energies = self.network(species, near, senders, receivers, head_scale)
            (slopes,) = torch.autograd.grad(energies.sum(), vectors, materialize_grads=True)
        return energies.detach(), slopes


class ScriptKernel(DifferentiatedKernel):
    """The scripted network; unoptimized, so that the first calls give the bits of all others."""

    def forward(
        self,
        species: Tensor,
        edge_vectors: Tensor,
        senders: Tensor,
        receivers: Tensor,
        head_scale: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return atomic energies and slopes, as `Kernel` says."""
        with unoptimized():
            return super().forward(species, edge_vectors, senders, receivers, head_scale)
