"""The edge kernel: a network as edge vectors -> atomic energies and slopes, whichever way it runs.

Neighbor list, edge vectors and the sums of slopes to forces stay outside; they are the same for
every way of running the network.
"""

from typing import Any, Literal, Protocol

import torch
from torch import Tensor

KernelName = Literal["torchscript", "compiled"]


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
        with torch.jit.optimized_execution(False):  # type: ignore[no-untyped-call, attr-defined, unused-ignore]
            return super().forward(species, edge_vectors, senders, receivers, head_scale)


class PaddedKernel:
    """A compiled kernel, which knows no batch of fewer than two atoms or two edges.

    What is missing is filled up with atoms and edges that nothing comes of: they are as long as
    two cutoffs.
    """

    def __init__(self, run: Any, cutoff: float) -> None:
        self._run = run
        self._cutoff = cutoff

    def __call__(
        self,
        species: Tensor,
        edge_vectors: Tensor,
        senders: Tensor,
        receivers: Tensor,
        head_scale: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return atomic energies and slopes, as `Kernel` says."""
        n_atoms, n_edges = len(species), len(senders)
        missing = max(0, 2 - n_edges)
        if n_atoms < 2:
            species = torch.cat([species, torch.zeros(2 - n_atoms, dtype=torch.long)])
        if missing:
            far = torch.full((missing, 3), 2.0 * self._cutoff, dtype=torch.float64)
            none = torch.zeros(missing, dtype=torch.long)
            edge_vectors = torch.cat([edge_vectors.detach(), far])
            senders, receivers = torch.cat([senders, none]), torch.cat([receivers, none])
        inputs = [species, edge_vectors.detach(), senders, receivers, head_scale]
        with torch.no_grad():
            energies, slopes = self._run([value.contiguous() for value in inputs])
        return energies[:n_atoms], slopes[:n_edges]
