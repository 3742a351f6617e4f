"""The module that LAMMPS's pair style runs: shells of atoms in Å -> energies in eV."""

import torch
from torch import Tensor

from fisher_mlip.model.network import EquivariantNetwork


class LammpsModule(torch.nn.Module):
    """A network over the atoms of one rank and the ghosts around them.

    The rank's own atoms come first, then their neighbors, the neighbors of those, and so on: a
    shell for each layer. Edges come in the order of their receivers' shells. The pair style makes
    both, and turns the slopes of the edges into forces and the virial.
    """

    def __init__(self, network: EquivariantNetwork) -> None:
        super().__init__()
        self.network = network
        # The network's dtype cannot be asked of a script; a tensor carries it.
        self.register_buffer("dtype_carrier", network.energy_scale.detach().clone())
        self.dtype_carrier: Tensor

    def forward(
        self,
        species: Tensor,
        edge_vectors: Tensor,
        senders: Tensor,
        receivers: Tensor,
        atoms_within: list[int],
        edges_within: list[int],
    ) -> Tensor:
        """Return the energies of the rank's own atoms, (atoms_within[0],), eV, float64.

        Energies are relative to isolated atoms.

        Args:
            species: (n_atoms,), index of the element in the model's list.
            edge_vectors: (n_edges, 3), Å, float64, from receiver to sender.
            senders: (n_edges,).
            receivers: (n_edges,).
            atoms_within: (n_layers + 1,), the number of atoms up to each shell.
            edges_within: (n_layers,), the number of edges whose receivers are up to each shell.
        """
        near = edge_vectors.to(self.dtype_carrier.dtype)
        nodes = self.network.nested_features(
            species, near, senders, receivers, atoms_within, edges_within
        )
        own, m = atoms_within[0], edges_within[0]
        energies = self.network.read_out(nodes, species[:own], None)
        if self.network.repulsion is not None:
            core = self.network.repulsion(species, near[:m], senders[:m], receivers[:m])
            energies = energies + core[:own]
        return energies

    @torch.jit.export
    def sampled_deviations(
        self,
        species: Tensor,
        edge_vectors: Tensor,
        senders: Tensor,
        receivers: Tensor,
        atoms_within: list[int],
        edges_within: list[int],
    ) -> Tensor:
        """Return how far each sampled head is off, (atoms_within[0], n_samples), eV, float64.

        Args: as `forward`. No samples, no columns.
        """
        near = edge_vectors.to(self.dtype_carrier.dtype)
        own = atoms_within[0]
        if self.network.samples is None:
            return torch.zeros((own, 0), dtype=torch.float64, device=species.device)
        nodes = self.network.nested_features(
            species, near, senders, receivers, atoms_within, edges_within
        )
        return self.network.deviations_of(nodes, species[:own])
