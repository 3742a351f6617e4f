"""The module that TorchForce runs: positions in nm -> energy in kJ/mol, list and skin inside."""

import torch
import vesin_torch  # noqa: F401  # registers torch.classes.vesin, in scripts too
from torch import Tensor

from fisher_mlip.model.graph import LARGEST_POSITION
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.units import KJ_PER_MOL_PER_EV, NM_PER_ANGSTROM


class OpenMMModule(torch.nn.Module):
    """A network bound to atoms, with a Verlet neighbor list kept between calls.

    The list holds every pair within cutoff + skin and is rebuilt when an atom has moved by more
    than half the skin, or when the box has changed. With `independent` the pairs are fixed when
    the module is bound: only atoms of one molecule interact, however far they fly.
    """

    def __init__(self, network: EquivariantNetwork) -> None:
        super().__init__()
        self.network = network
        self.cutoff = float(network.cutoff)
        self.skin = 0.5
        self.periodic = False
        self.independent = False
        self.n_rebuilds = 0
        self.largest_position = LARGEST_POSITION
        self.angstrom_per_nm = 1.0 / NM_PER_ANGSTROM
        self.kj_per_mol_per_ev = KJ_PER_MOL_PER_EV
        # The double network's dtype cannot be asked of a script; a tensor carries it.
        self.register_buffer("dtype_carrier", network.energy_scale.detach().clone())
        self.dtype_carrier: Tensor
        for name in ("species", "receivers", "senders"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.long))
        for name in ("cell_shifts", "listed_positions", "listed_box"):
            self.register_buffer(name, torch.zeros((0, 3), dtype=torch.float64))
        self.species: Tensor
        self.receivers: Tensor
        self.senders: Tensor
        self.cell_shifts: Tensor
        self.listed_positions: Tensor
        self.listed_box: Tensor

    def update_list(self, positions: Tensor, box: Tensor) -> None:
        """Rebuild the pair list (positions and box in Å, float64) if it may miss a pair."""
        if self.listed_positions.shape[0] == positions.shape[0] and torch.equal(
            self.listed_box, box
        ):
            moved = (positions - self.listed_positions).square().sum(dim=1).max()
            if bool(moved <= (0.5 * self.skin) ** 2):
                return
        neighbors = torch.classes.vesin._NeighborList(
            self.cutoff + self.skin, True, True, "auto", 0.0, 0
        )
        periodic = torch.tensor([self.periodic, self.periodic, self.periodic])
        i, j, shifts = neighbors.compute(positions, box, periodic, "ijS", True)
        self.receivers = i.to(torch.long)
        self.senders = j.to(torch.long)
        self.cell_shifts = shifts.to(torch.float64)
        self.listed_positions = positions.clone()
        self.listed_box = box.clone()
        self.n_rebuilds += 1

    @torch.jit.export
    def atomic_energies(self, positions: Tensor, boxvectors: Tensor | None = None) -> Tensor:
        """Return (n_atoms,) energies in kJ/mol, float64, relative to isolated atoms.

        Args:
            positions: (n_atoms, 3), nm.
            boxvectors: (3, 3), nm, rows are vectors; used by a periodic module only.
        """
        x = positions.to(torch.float64) * self.angstrom_per_nm
        if not self.independent and not bool((x.detach().abs() < self.largest_position).all()):
            # A list over such positions would crash the process; NaN lets the engine's own check
            # stop the run instead.
            return (x * float("nan")).sum(dim=1)
        vectors, senders, receivers = self.edges(x, boxvectors)
        energies: Tensor = self.network(self.species, vectors, senders, receivers)
        return energies * self.kj_per_mol_per_ev

    @torch.jit.export
    def sampled_deviations(self, positions: Tensor, boxvectors: Tensor | None = None) -> Tensor:
        """Return how far each sampled head is off, (n_atoms, n_samples), kJ/mol.

        Args: as `atomic_energies`. No samples, no columns.
        """
        x = positions.to(torch.float64) * self.angstrom_per_nm
        vectors, senders, receivers = self.edges(x, boxvectors)
        found = self.network.sampled_deviations(self.species, vectors, senders, receivers)
        return found * self.kj_per_mol_per_ev

    def edges(self, x: Tensor, boxvectors: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return vectors (n_edges, 3) Å, in the network's dtype, senders and receivers."""
        box = torch.zeros((3, 3), dtype=torch.float64, device=x.device)
        if self.periodic:
            assert boxvectors is not None, "a periodic model needs box vectors"
            box = boxvectors.to(torch.float64) * self.angstrom_per_nm
        if not self.independent:
            self.update_list(x.detach(), box.detach())
        vectors = x[self.senders] - x[self.receivers] + self.cell_shifts @ box
        inside = (vectors.detach().square().sum(dim=1) < self.cutoff**2).nonzero()[:, 0]
        near = vectors[inside].to(self.dtype_carrier.dtype)
        return near, self.senders[inside], self.receivers[inside]

    def forward(self, positions: Tensor, boxvectors: Tensor | None = None) -> Tensor:
        """Return the potential energy in kJ/mol, float64, relative to isolated atoms."""
        return self.atomic_energies(positions, boxvectors).sum()
