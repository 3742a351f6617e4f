"""The e3nn network: atoms and edge vectors -> last-layer features -> atomic energies."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import e3nn
import torch
from e3nn import o3
from torch import Tensor

from fisher_mlip.config import ModelConfig
from fisher_mlip.model.head import LinearHead, SampledHeads
from fisher_mlip.model.interaction import Gate, Interaction, degree_irreps
from fisher_mlip.model.radial import bessel_basis, smooth_envelope
from fisher_mlip.model.repulsion import ScreenedRepulsion


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Set torch's default dtype inside the block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def plain_e3nn() -> Iterator[None]:
    """Build e3nn's products as plain torch code.

    Compiled one by one they are no faster, and they re-specialize for each new batch shape.
    """
    before = dict(e3nn.get_optimization_defaults())
    e3nn.set_optimization_defaults(jit_script_fx=False)
    try:
        yield
    finally:
        e3nn.set_optimization_defaults(**before)


class EquivariantNetwork(torch.nn.Module):
    """An invariant energy per atom from message passing over equivariant features.

    U(x) = sum_i [ readout . h_i(x) + shift(species_i) ], h_i the last layer's scalars and, beside
    them, a hidden layer of those (in eV: they carry `energy_scale`). A `head` adds a term linear
    in a larger set of features, in which the pretrained readout stays as it is.
    `last_layer_features` are those of the head where there is one: what the Fisher head solves a
    theta for. A `repulsion` adds a core that nothing trains. Energies are relative to isolated
    atoms.
    """

    def __init__(self, config: ModelConfig, elements: Sequence[int]) -> None:
        super().__init__()
        n_species = len(elements)
        self.cutoff = config.cutoff
        self.n_basis = config.num_basis_functions
        channels, max_degree = config.features, config.max_degree
        harmonics = o3.Irreps.spherical_harmonics(max_degree)
        self.embedding = torch.nn.Embedding(n_species, channels)
        self.harmonics = o3.SphericalHarmonics(harmonics, True, "component")
        layers: list[torch.nn.Module] = []
        nodes = degree_irreps(channels, 0)
        for layer in range(config.num_iterations):
            # Only invariants are read out, so the last layer makes nothing else.
            gate = Gate(channels, max_degree if layer < config.num_iterations - 1 else 0)
            layers.append(Interaction(nodes, harmonics, gate, self.n_basis, config.radial_width))
            nodes = gate.out_irreps
        self.layers = torch.nn.ModuleList(layers)
        # No linear map after the nonlinearity: the readout would be a second one on top of it.
        self.refine = torch.nn.Sequential(torch.nn.Linear(channels, channels), torch.nn.SiLU())
        self.readout = torch.nn.Parameter(torch.randn(2 * channels) / (2 * channels) ** 0.5)
        self.shift = torch.nn.Parameter(torch.zeros(n_species))
        self.head: LinearHead | None = None
        self.samples: SampledHeads | None = None
        self.repulsion = ScreenedRepulsion(elements, self.cutoff) if config.repulsion else None
        self.energy_scale: Tensor
        self.message_scale: Tensor
        self.register_buffer("energy_scale", torch.ones(()))
        self.register_buffer("message_scale", torch.ones(()))

    def last_layer_features(
        self, species: Tensor, edge_vectors: Tensor, senders: Tensor, receivers: Tensor
    ) -> Tensor:
        """Return the features that are summed linearly: the head's, or those of the readout.

        Args:
            species: (n_atoms,), index of the element in the model's list.
            edge_vectors: (n_edges, 3), Å, from receiver to sender.
            senders: (n_edges,).
            receivers: (n_edges,).

        Returns:
            (n_atoms, D), eV.
        """
        nodes = self.layer_features(species, edge_vectors, senders, receivers)
        if self.head is None:
            return nodes[-1] * self.energy_scale
        invariants = self.head.invariants(nodes) * self.energy_scale
        one_hot = torch.nn.functional.one_hot(species, self.head.n_species)
        return (one_hot[:, :, None] * invariants[:, None, :]).flatten(1)

    def layer_features(
        self, species: Tensor, edge_vectors: Tensor, senders: Tensor, receivers: Tensor
    ) -> list[Tensor]:
        """Return the features (n_atoms, irreps) after each layer, then those that are read out."""
        edges = self.edge_tensors(edge_vectors, senders, receivers, species.shape[0])
        nodes = self.embedding(species)
        outputs: list[Tensor] = []
        for layer in self.layers:
            nodes = layer(nodes, edges, self.message_scale)
            outputs.append(nodes)
        outputs.append(torch.cat([nodes, self.refine(nodes)], dim=1))
        return outputs

    def edge_tensors(
        self, edge_vectors: Tensor, senders: Tensor, receivers: Tensor, n_atoms: int
    ) -> list[Tensor]:
        """Return what every layer asks of the edges; `Interaction.forward` says what it is.

        Args: as `last_layer_features`, and
            n_atoms: between which the edges are.
        """
        distances = torch.sqrt((edge_vectors * edge_vectors).sum(dim=1))
        envelope = smooth_envelope(distances, self.cutoff)
        basis = bessel_basis(distances, self.cutoff, self.n_basis)
        return [senders, receivers, self.harmonics(edge_vectors), basis, envelope]

    def first_edges(self, edges: list[Tensor], n_edges: int) -> list[Tensor]:
        """Return the tensors of the first edges; the layers need no more where they are told."""
        return [values[:n_edges] for values in edges]

    def nested_features(
        self,
        species: Tensor,
        edge_vectors: Tensor,
        senders: Tensor,
        receivers: Tensor,
        atoms_within: list[int],
        edges_within: list[int],
    ) -> list[Tensor]:
        """Return the features of the first atoms alone, each layer over no more than it needs.

        Atoms come in shells: those whose features are wanted, their neighbors, the neighbors of
        those, and so on; edges in the order of their receivers' shells. What the k-th layer of L
        makes of an atom L - k shells away reaches no atom that is wanted, and is not made.

        Args: as `layer_features`, and
            atoms_within: (L + 1,), the number of atoms up to each shell.
            edges_within: (L,), the number of edges whose receivers are up to each shell.

        Returns:
            as `layer_features`, of the first `atoms_within[0]` atoms.
        """
        edges = self.edge_tensors(edge_vectors, senders, receivers, species.shape[0])
        nodes = self.embedding(species)
        wanted = atoms_within[0]
        outputs: list[Tensor] = []
        for k, layer in enumerate(self.layers):
            shell = len(self.layers) - 1 - k
            near = self.first_edges(edges, edges_within[shell])
            nodes = layer(nodes, near, self.message_scale, atoms_within[shell])
            outputs.append(nodes[:wanted])
        outputs.append(torch.cat([nodes, self.refine(nodes)], dim=1))
        return outputs

    def forward(
        self,
        species: Tensor,
        edge_vectors: Tensor,
        senders: Tensor,
        receivers: Tensor,
        head_scale: Tensor | None = None,
    ) -> Tensor:
        """Return atomic energies (n_atoms,) in eV, float64, relative to isolated atoms.

        Args: as `last_layer_features`, and
            head_scale: (), what the head's term is multiplied by; one when None.
        """
        nodes = self.layer_features(species, edge_vectors, senders, receivers)
        energies = self.read_out(nodes, species, head_scale)
        if self.repulsion is not None:
            energies = energies + self.repulsion(species, edge_vectors, senders, receivers)
        return energies

    def read_out(
        self, nodes: list[Tensor], species: Tensor, head_scale: Tensor | None = None
    ) -> Tensor:
        """Return the energies of features (n_atoms, ...) of every layer, without the repulsion.

        Args:
            nodes: as `layer_features` returns them.
            species: (n_atoms,).
            head_scale: as in `forward`.
        """
        features = nodes[-1] * self.energy_scale
        # Summing in float64 costs nothing here and keeps a large box from losing its digits.
        energies = (features.double() * self.readout.double()).sum(dim=1)
        if self.head is not None:
            term = self.head(nodes, species) * self.energy_scale.double()
            if head_scale is not None:
                term = term * head_scale
            energies = energies + term
        return energies + self.shift.double()[species]

    def sampled_deviations(
        self, species: Tensor, edge_vectors: Tensor, senders: Tensor, receivers: Tensor
    ) -> Tensor:
        """Return how far each sampled head is off, (n_atoms, n_samples), eV, float64.

        There are no columns where there are no sampled heads.

        Args: as `last_layer_features`.
        """
        if self.samples is None:
            return torch.zeros((species.shape[0], 0), dtype=torch.float64, device=species.device)
        nodes = self.layer_features(species, edge_vectors, senders, receivers)
        return self.deviations_of(nodes, species)

    def deviations_of(self, nodes: list[Tensor], species: Tensor) -> Tensor:
        """Return the deviations of sampled heads, which there are, from features of every layer."""
        assert self.samples is not None
        invariants = nodes[-1] if self.head is None else self.head.invariants(nodes)
        deviations: Tensor = self.samples(invariants, species) * self.energy_scale.double()
        return deviations


def build_network(
    config: ModelConfig, elements: Sequence[int], dtype: torch.dtype
) -> EquivariantNetwork:
    """Build a network for these atomic numbers, with random weights.

    The coupling coefficients are made in float64 and rounded once: made in float32, a float64
    model would be equivariant to seven digits only.
    """
    with default_dtype(torch.float64), plain_e3nn():
        network = EquivariantNetwork(config, elements)
    return network.to(dtype)
