"""A repulsive core between every two elements: edge vectors -> energies per atom, never trained."""

from collections.abc import Sequence

import torch
from ase.data import covalent_radii
from torch import Tensor

COULOMB = 14.399645  # e^2 / (4 pi eps0), eV Å
SCREENING = 0.46850  # Å, 0.8854 Bohr radii

# The core ends just inside the single bond, whose length is the sum of the covalent radii: at
# 500 K it adds less than 0.1 meV to an ethanol. It fades over most of its range: from 0.5 of it on,
# its curve would bend the wrong way.
OUTER_FACTOR = 0.95
INNER_FRACTION = 0.3


class ScreenedRepulsion(torch.nn.Module):
    """Screened Coulomb repulsion of the nuclei, switched off where chemistry begins.

    U = sum over pairs of V(r) s(r / r_out), r_out = 0.95 (R_i + R_j), R the covalent radii of ASE
    (Cordero et al. 2008), but never beyond the cutoff. s is 1 up to 0.3 r_out and, with every
    derivative, 0 from r_out on. Two atoms that are not bonded meet it only where a bond between
    them would be: hydrogens at 0.59 Å.

    Source:
        Ziegler, Biersack, Littmark, The Stopping and Range of Ions in Solids, Pergamon 1985:
        V = e^2/(4 pi eps0) Z_i Z_j / r phi(r/a), phi the universal screening function
        0.18175 e^(-3.19980 x) + 0.50986 e^(-0.94229 x) + 0.28022 e^(-0.40290 x) +
        0.02817 e^(-0.20162 x), a = 0.46850 Å / (Z_i^0.23 + Z_j^0.23).
    """

    def __init__(self, elements: Sequence[int], cutoff: float) -> None:
        super().__init__()
        charges = torch.tensor(list(elements), dtype=torch.float64)
        radii = torch.tensor([covalent_radii[z] for z in elements], dtype=torch.float64)
        powers = charges**0.23
        outer = OUTER_FACTOR * (radii[:, None] + radii)
        self.strength: Tensor
        self.length: Tensor
        self.outer: Tensor
        # (n_species, n_species): eV Å, Å, Å.
        self.register_buffer("strength", COULOMB * charges[:, None] * charges)
        self.register_buffer("length", SCREENING / (powers[:, None] + powers))
        self.register_buffer("outer", outer.clamp(max=cutoff))

    def forward(
        self, species: Tensor, edge_vectors: Tensor, senders: Tensor, receivers: Tensor
    ) -> Tensor:
        """Return the energy of each atom, half of each of its pairs', (n_atoms,) eV, float64.

        Args:
            species: (n_atoms,), index of the element in the model's list.
            edge_vectors: (n_edges, 3), Å, each pair in both directions.
            senders: (n_edges,).
            receivers: (n_edges,).
        """
        # Beyond the largest core there are most of the edges, and nothing.
        reach = float(self.outer.max())
        close = (edge_vectors.detach().square().sum(dim=1) < reach * reach).nonzero()[:, 0]
        receivers = receivers[close]
        i, j = species[receivers], species[senders[close]]
        distances = torch.sqrt(edge_vectors[close].double().square().sum(dim=1))
        coulomb = self.strength[i, j].double() / distances
        screening = universal_screening(distances / self.length[i, j].double())
        pairs = coulomb * screening * core_switch(distances / self.outer[i, j].double())
        return torch.zeros_like(species, dtype=torch.float64).index_add(0, receivers, 0.5 * pairs)


def universal_screening(x: Tensor) -> Tensor:
    """Return phi(x), the universal screening function of Ziegler, Biersack and Littmark."""
    return (
        0.18175 * torch.exp(-3.19980 * x)
        + 0.50986 * torch.exp(-0.94229 * x)
        + 0.28022 * torch.exp(-0.40290 * x)
        + 0.02817 * torch.exp(-0.20162 * x)
    )


def core_switch(u: Tensor, inner: float = INNER_FRACTION) -> Tensor:
    """Return f(1 - t) / (f(1 - t) + f(t)), f(t) = e^(-1/t), t from 0 at u = inner to 1 at u = 1.

    Args:
        u: r / r_out, float64.
        inner: up to which the switch is 1.
    """
    # e^-1000 is 0 in float64: the clamp keeps the reciprocals finite and changes no value.
    t = ((u - inner) / (1.0 - inner)).clamp(1e-3, 1.0 - 1e-3)
    return torch.sigmoid(1.0 / t - 1.0 / (1.0 - t))
