"""The module that TorchForce runs: positions in nm -> energy in kJ/mol, list and skin inside."""

import torch
import vesin_torch  # noqa: F401  # registers torch.classes.vesin, in scripts too
from torch import Tensor

from fisher_mlip.model.neighbors import (
    LARGEST_POSITION,
    canonical_order,
    face_distances,
    open_pairs,
    shift_vectors,
    thins_out,
)
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.units import KJ_PER_MOL_PER_EV, NM_PER_ANGSTROM


class OpenMMModule(torch.nn.Module):
    """A network bound to atoms, with a Verlet neighbor list kept between calls.

    The list holds every pair within cutoff + skin and is rebuilt when an atom has moved by more
    than half the skin, or when the box has changed. Its pairs are in canonical order and only
    those inside the cutoff are evaluated: no number depends on when the list was built. With
    `independent` the pairs are fixed when the module is bound: only atoms of one molecule
    interact, however far they fly. With `subset` only `atoms` of the positions are the model's.
    """

    def __init__(self, network: EquivariantNetwork) -> None:
        super().__init__()
        self.network = network
        self.cutoff = float(network.cutoff)
        self.skin = 0.5
        self.periodic = False
        self.independent = False
        self.subset = False
        self.n_rebuilds = 0
        # A file that counts the rebuilds of all copies of this module; "" for none.
        self.rebuild_file = ""
        self.largest_position = LARGEST_POSITION
        self.angstrom_per_nm = 1.0 / NM_PER_ANGSTROM
        self.kj_per_mol_per_ev = KJ_PER_MOL_PER_EV
        # The double network's dtype cannot be asked of a script; a tensor carries it.
        self.register_buffer("dtype_carrier", network.energy_scale.detach().clone())
        self.dtype_carrier: Tensor
        for name in ("species", "receivers", "senders", "atoms"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.long))
        for name in ("cell_shifts", "listed_positions", "listed_box"):
            self.register_buffer(name, torch.zeros((0, 3), dtype=torch.float64))
        self.species: Tensor
        self.atoms: Tensor
        self.receivers: Tensor
        self.senders: Tensor
        self.cell_shifts: Tensor
        self.listed_positions: Tensor
        self.listed_box: Tensor

    def pairs(self, positions: Tensor, box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return receivers, senders and shifts of all pairs within cutoff + skin."""
        reach = self.cutoff + self.skin
        if self.periodic:
            extents = face_distances(box)
        else:
            extents = positions.max(dim=0)[0] - positions.min(dim=0)[0]
        if thins_out(extents, reach):
            if self.periodic:
                raise ValueError("expected a box that is not a thin sheet of 1e5 cutoffs or more")
            i, j = open_pairs(positions, reach)
            return i, j, torch.zeros((i.shape[0], 3), dtype=torch.float64, device=i.device)
        neighbors = torch.classes.vesin._NeighborList(reach, True, True, "auto", 0.0, 0)
        periodic = torch.tensor([self.periodic, self.periodic, self.periodic])
        i, j, shifts = neighbors.compute(positions, box, periodic, "ijS", True)
        return i.to(torch.long), j.to(torch.long), shifts.to(torch.float64)

    def update_list(self, positions: Tensor, box: Tensor) -> None:
        """Rebuild the pair list (positions and box in Å, float64) if it may miss a pair."""
        if self.listed_positions.shape[0] == positions.shape[0]:
            moved = (positions - self.listed_positions).square().sum(dim=1).max()
            # Asked as one: a GPU is waited for once.
            if bool((moved <= (0.5 * self.skin) ** 2) & (self.listed_box == box).all()):
                return
        i, j, shifts = self.pairs(positions, box)
        order = canonical_order(i, j, shifts)
        self.receivers = i[order]
        self.senders = j[order]
        self.cell_shifts = shifts[order]
        self.listed_positions = positions.clone()
        self.listed_box = box.clone()
        self.n_rebuilds += 1
        if self.rebuild_file != "":
            # TorchForce runs a copy; what it counts must be read here to be counted at all.
            count = torch.from_file(self.rebuild_file, shared=True, size=1, dtype=torch.long)
            count.add_(1)
            self.n_rebuilds = int(count.item())

    @torch.jit.export
    def near_pairs(self, x: Tensor, box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return vectors (n_edges, 3), senders and receivers of all pairs inside the cutoff.

        Args:
            x: (n_atoms, 3), Å, float64, of the model's atoms.
            box: (3, 3), Å, float64; zero without boundaries.
        """
        return self.plain_near_pairs(x, box)

    def plain_near_pairs(self, x: Tensor, box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `near_pairs` does, by plain operations, differentiable in the box too."""
        if not self.independent:
            self.update_list(x.detach(), box.detach())
        shifts = shift_vectors(self.cell_shifts, box)
        vectors = x[self.senders] - x[self.receivers] + shifts
        inside = (vectors.detach().square().sum(dim=1) < self.cutoff**2).nonzero()[:, 0]
        return vectors[inside], self.senders[inside], self.receivers[inside]

    @torch.jit.export
    def can_list(self, x: Tensor) -> bool:
        """Tell whether a list can be made; over NaN or absurd positions it ends the process."""
        return self.independent or bool((x.detach().abs() < self.largest_position).all())

    @torch.jit.export
    def atomic_energies(
        self, positions: Tensor, boxvectors: Tensor | None = None, head_scale: Tensor | None = None
    ) -> Tensor:
        """Return (n_atoms,) energies in kJ/mol, float64, relative to isolated atoms.

        Args:
            positions: (n_atoms, 3), nm.
            boxvectors: (3, 3), nm, rows are vectors; used by a periodic module only.
            head_scale: what the head's term is multiplied by; one when None.
        """
        x, box = self.in_angstrom(positions, boxvectors)
        if not self.can_list(x):
            # NaN lets the engine's own check stop the run.
            return (x * float("nan")).sum(dim=1)
        vectors, senders, receivers = self.near_pairs(x, box)
        near = vectors.to(self.dtype_carrier.dtype)
        energies: Tensor = self.network(self.species, near, senders, receivers, head_scale)
        return energies * self.kj_per_mol_per_ev

    @torch.jit.export
    def sampled_deviations(self, positions: Tensor, boxvectors: Tensor | None = None) -> Tensor:
        """Return how far each sampled head is off, (n_atoms, n_samples), kJ/mol.

        Args: as `atomic_energies`. No samples, no columns.
        """
        x, box = self.in_angstrom(positions, boxvectors)
        vectors, senders, receivers = self.near_pairs(x, box)
        near = vectors.to(self.dtype_carrier.dtype)
        found = self.network.sampled_deviations(self.species, near, senders, receivers)
        return found * self.kj_per_mol_per_ev

    def in_angstrom(self, positions: Tensor, boxvectors: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return positions of the model's atoms and the box in Å, float64; no box is zero."""
        x = positions.to(torch.float64) * self.angstrom_per_nm
        if self.subset:
            x = x[self.atoms]
        box = torch.zeros((3, 3), dtype=torch.float64, device=x.device)
        if self.periodic:
            assert boxvectors is not None, "a periodic model needs box vectors"
            box = boxvectors.to(torch.float64) * self.angstrom_per_nm
        return x, box

    def forward(
        self, positions: Tensor, second: Tensor | None = None, third: Tensor | None = None
    ) -> Tensor:
        """Return the potential energy in kJ/mol, float64, relative to isolated atoms.

        Args:
            positions: (n_atoms, 3), nm.
            second: box vectors (3, 3), nm, where the module is periodic; else the head's scale.
            third: the head's scale where the module is periodic. TorchForce passes positions, the
                box of a periodic force, then global parameters, all of them by their place.
        """
        if self.periodic or (second is not None and second.dim() == 2):
            return self.atomic_energies(positions, second, third).sum()
        return self.atomic_energies(positions, None, second).sum()
