"""An artefact as a potential in Python: eV, Å, numpy in and out."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.export.artefact import Artefact, load_artefact
from fisher_mlip.export.fusing import TorchDevice, why_not_fused, why_not_same
from fisher_mlip.export.kernel import KernelName, ScriptKernel
from fisher_mlip.export.torchscript import unoptimized

KernelChoice = Literal["auto", "torchscript", "fused"]

LARGEST_BOX = 1e6  # Å


class ArtefactPotential:
    """Energies, forces and stresses of fixed atoms, with a neighbor list kept between calls.

    Energies are relative to isolated atoms (E - ΣE0). On one thread the numbers are the same, bit
    for bit, whatever was asked before.

    Args:
        model: `model.pt`, the folder that holds it, or the loaded artefact.
        atomic_numbers: (n_atoms,).
        periodic: whether a cell will come with the positions.
        kernel: `fused` (our C++ operators, some ten times as fast; compiled once for a machine),
            `torchscript` (model.pt as it is), or `auto`: fused where that can be.
        skin: Å added to the cutoff of the neighbor list.
        molecules: (n_atoms,), index of each atom's molecule; when given, only atoms of one
            molecule interact.

    Attributes:
        kernel: which one runs.
        reason: why, in one sentence.
        head_scale: s of U = U_pretrained + s U_head; it may be set at any time.

    Raises:
        InputError: an element that the model has not seen, a skin that is not positive, or a
            fused kernel that was asked for and cannot be.
    """

    def __init__(
        self,
        model: str | Path | Artefact,
        atomic_numbers: IntArray,
        *,
        periodic: bool,
        kernel: KernelChoice = "auto",
        skin: float = 0.5,
        molecules: IntArray | None = None,
    ) -> None:
        self.artefact = model if isinstance(model, Artefact) else load_artefact(Path(model))
        self.periodic = periodic
        self.head_scale = 1.0
        self.kernel, self.reason = choose_kernel(self.artefact, kernel)
        self._module = self.artefact.bind(
            np.asarray(atomic_numbers),
            periodic=periodic,
            skin=skin,
            molecules=molecules,
            kernel=self.kernel,
        )
        self._run = ScriptKernel(self._module.network)

    @property
    def n_rebuilds(self) -> int:
        """How often the neighbor list has been built."""
        return int(self._module.n_rebuilds)

    def energy_and_forces(
        self, positions: FloatArray, cell: FloatArray | None = None
    ) -> tuple[float, FloatArray]:
        """Return the energy in eV and the forces (n_atoms, 3) in eV/Å.

        Args:
            positions: (n_atoms, 3), Å, wrapped into the cell or not. Where one is not finite, or
                beyond 1e6 Å without a boundary, energy and forces are NaN.
            cell: (3, 3), Å, rows are vectors; of a periodic potential only.

        Raises:
            InputError: a shape does not fit, or a cell is missing, or too much.
        """
        energies, forces, _ = self._evaluate(positions, cell)
        return float(energies.sum()), forces.numpy()

    def energy_forces_stress(
        self, positions: FloatArray, cell: FloatArray
    ) -> tuple[float, FloatArray, FloatArray]:
        """Return energy (eV), forces (n_atoms, 3) (eV/Å) and stress (3, 3) (eV/Å^3).

        The stress is dE/dε / V, ε a symmetric strain of positions and cell together.

        Args and Raises: as `energy_and_forces`, of a periodic potential.
        """
        if not self.periodic:
            raise InputError("expected a periodic potential to tell a stress, found an open one")
        energies, forces, strain = self._evaluate(positions, cell)
        volume = abs(float(np.linalg.det(cell)))
        stress = 0.5 * (strain + strain.t()) / volume
        return float(energies.sum()), forces.numpy(), stress.numpy()

    def atomic_energies(self, positions: FloatArray, cell: FloatArray | None = None) -> FloatArray:
        """Return the energy of each atom, (n_atoms,), eV. Args, Raises: as `energy_and_forces`."""
        energies, _, _ = self._evaluate(positions, cell)
        found: FloatArray = energies.numpy()
        return found

    def force_uncertainty(
        self, positions: FloatArray, cell: FloatArray | None = None
    ) -> FloatArray:
        """Return the standard deviation of each atom's force vector, (n_atoms,), eV/Å.

        Over the sampled heads: one reverse pass for each of them.

        Args: as `energy_and_forces`.

        Raises:
            InputError: as `energy_and_forces`; or the model carries no sampled heads.
        """
        if self.artefact.manifest.sampled_heads == 0:
            raise InputError(
                f"expected a model with sampled heads to tell its uncertainty, found "
                f"'{self.artefact.path}' without: finetune gives them to a head that it chooses"
            )
        x, box = self._tensors(positions, cell)
        if not self._module.can_list(x):
            return np.full(len(x), np.nan)
        with torch.enable_grad(), unoptimized():
            vectors, senders, receivers = self._module.near_pairs(x, box)
            vectors = vectors.detach().requires_grad_(True)
            near = vectors.to(self._run.dtype)
            of_network = self._module.network.sampled_deviations
            totals = of_network(self._module.species, near, senders, receivers).sum(dim=0)
            square = torch.zeros(len(x), dtype=torch.float64)
            for total in totals.unbind():
                (slopes,) = torch.autograd.grad(total, vectors, retain_graph=True)
                forces = _forces(slopes, senders, receivers, len(x))
                square += forces.square().sum(dim=1)
        spread: FloatArray = (square / len(totals)).sqrt().numpy()
        return spread

    def _evaluate(
        self, positions: FloatArray, cell: FloatArray | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return atomic energies (eV), forces (eV/Å) and dE/dε (3, 3) (eV), not symmetrized."""
        x, box = self._tensors(positions, cell)
        if not self._module.can_list(x):
            nothing = torch.full_like(x, torch.nan)
            return nothing[:, 0], nothing, torch.full((3, 3), torch.nan, dtype=torch.float64)
        with torch.no_grad(), unoptimized():
            vectors, senders, receivers = self._module.near_pairs(x, box)
        scale = torch.tensor(self.head_scale, dtype=torch.float64)
        energies, slopes = self._run(self._module.species, vectors, senders, receivers, scale)
        return energies, _forces(slopes, senders, receivers, len(x)), vectors.t() @ slopes

    def _tensors(self, positions: FloatArray, cell: FloatArray | None) -> tuple[Tensor, Tensor]:
        x = torch.tensor(np.asarray(positions, dtype=np.float64))
        n_atoms = len(self._module.species)
        if x.shape != (n_atoms, 3):
            raise InputError(f"expected positions of ({n_atoms}, 3) Å, found {tuple(x.shape)}")
        if not self.periodic:
            if cell is not None:
                raise InputError("expected no cell for a potential that is not periodic, found one")
            return x, torch.zeros((3, 3), dtype=torch.float64)
        box = torch.tensor(np.zeros(0) if cell is None else np.asarray(cell, dtype=np.float64))
        is_box = box.shape == (3, 3) and bool((box.abs() < LARGEST_BOX).all())
        # Written so that a NaN fails.
        if not is_box or not abs(float(torch.linalg.det(box))) > 1e-6:
            found = "none" if cell is None else np.asarray(cell).tolist()
            raise InputError(f"expected a cell (3, 3) with a volume, Å, found {found}")
        return x, box


def choose_kernel(
    artefact: Artefact, wanted: KernelChoice, *, device: TorchDevice = "cpu"
) -> tuple[KernelName, str]:
    """Return which kernel of an artefact runs, and why.

    Args:
        artefact: the model.
        wanted: what is asked for.
        device: of torch, where the network will run.

    Raises:
        InputError: the fused one was asked for and cannot be.
    """
    if wanted == "torchscript":
        return "torchscript", "TorchScript was asked for"
    manifest = artefact.manifest
    problem = why_not_fused(manifest) or why_not_same(artefact.path, manifest, device=device)
    if not problem:
        return "fused", "the fused operators serve this model"
    if wanted == "fused":
        raise InputError(f"expected a model and a machine for the fused operators: {problem}")
    return "torchscript", problem


def _forces(slopes: Tensor, senders: Tensor, receivers: Tensor, n_atoms: int) -> Tensor:
    """Return -dE/dx, (n_atoms, 3), of slopes along the vectors from receiver to sender."""
    forces = torch.zeros((n_atoms, 3), dtype=torch.float64)
    return forces.index_add(0, receivers, slopes).index_add(0, senders, -slopes)
