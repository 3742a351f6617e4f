"""The e3nn network: atoms and edge vectors -> last-layer features -> atomic energies."""

from collections.abc import Iterator
from contextlib import contextmanager

import e3nn
import torch
from e3nn import o3
from torch import Tensor

from fisher_mlip.config import ModelConfig
from fisher_mlip.model.interaction import Gate, Interaction, degree_irreps
from fisher_mlip.model.radial import bessel_basis, smooth_envelope


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
def _plain_e3nn() -> Iterator[None]:
    """Build e3nn's products as plain torch code.

    Compiled one by one they are no faster, and they re-specialize for each new batch shape;
    the export compiles the whole network at once.
    """
    before = dict(e3nn.get_optimization_defaults())
    e3nn.set_optimization_defaults(jit_script_fx=False)
    try:
        yield
    finally:
        e3nn.set_optimization_defaults(**before)


class EquivariantNetwork(torch.nn.Module):
    """An invariant energy per atom from message passing over equivariant features.

    U(x) = sum_i [ theta . h_i(x) + shift(species_i) ], where h_i are the `last_layer_features`
    (in eV: they carry `energy_scale`) and theta, the readout, is what the Fisher head solves for.
    Energies are relative to the isolated atoms.
    """

    def __init__(self, config: ModelConfig, n_species: int) -> None:
        super().__init__()
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
        self.refine = torch.nn.Sequential(
            torch.nn.Linear(channels, channels),
            torch.nn.SiLU(),
            torch.nn.Linear(channels, channels),
        )
        self.readout = torch.nn.Parameter(torch.randn(channels) / channels**0.5)
        self.shift = torch.nn.Parameter(torch.zeros(n_species))
        self.energy_scale: Tensor
        self.message_scale: Tensor
        self.register_buffer("energy_scale", torch.ones(()))
        self.register_buffer("message_scale", torch.ones(()))

    def last_layer_features(
        self, species: Tensor, edge_vectors: Tensor, senders: Tensor, receivers: Tensor
    ) -> Tensor:
        """Return h_i, the features that the linear readout sums.

        Args:
            species: (n_atoms,), index of the element in the model's list.
            edge_vectors: (n_edges, 3), Å, from receiver to sender.
            senders: (n_edges,).
            receivers: (n_edges,).

        Returns:
            (n_atoms, D), eV.
        """
        distances = torch.sqrt((edge_vectors * edge_vectors).sum(dim=1))
        envelope = smooth_envelope(distances, self.cutoff)
        basis = bessel_basis(distances, self.cutoff, self.n_basis)
        harmonics = self.harmonics(edge_vectors)
        nodes = self.embedding(species)
        for layer in self.layers:
            nodes = layer(nodes, senders, receivers, harmonics, basis, envelope, self.message_scale)
        features: Tensor = (nodes + self.refine(nodes)) * self.energy_scale
        return features

    def forward(
        self, species: Tensor, edge_vectors: Tensor, senders: Tensor, receivers: Tensor
    ) -> Tensor:
        """Return atomic energies (n_atoms,) in eV, float64, relative to isolated atoms."""
        features = self.last_layer_features(species, edge_vectors, senders, receivers)
        # Summing in float64 costs nothing here and keeps a large box from losing its digits.
        energies = (features.double() * self.readout.double()).sum(dim=1)
        return energies + self.shift.double()[species]


def build_network(config: ModelConfig, n_species: int, dtype: torch.dtype) -> EquivariantNetwork:
    """Build a network with random weights.

    The coupling coefficients are made in float64 and rounded once: made in float32, a float64
    model would be equivariant to seven digits only.
    """
    with default_dtype(torch.float64), _plain_e3nn():
        network = EquivariantNetwork(config, n_species)
    return network.to(dtype)
