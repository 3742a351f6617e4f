"""Is the artefact the model? Energies and forces of its kernels against the eager network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from fisher_mlip.config import DtypeName
from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.errors import InputError
from fisher_mlip.export.artefact import Artefact
from fisher_mlip.export.kernel import KernelName
from fisher_mlip.export.potential import ArtefactPotential
from fisher_mlip.model.checkpoint import Checkpoint, network_in
from fisher_mlip.model.graph import build_graph
from fisher_mlip.model.potential import evaluate
from fisher_mlip.units import (
    KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM,
    KJ_PER_MOL_PER_EV,
    NM_PER_ANGSTROM,
)

# Largest force difference, eV/Å, of a frame whose forces are below 1 eV/Å; relative to its largest
# above. Of energies, eV/atom, likewise.
FORCE_TOLERANCE: dict[DtypeName, float] = {"float64": 1e-9, "float32": 1e-4}


@dataclass(frozen=True)
class Parity:
    """Largest differences between the artefact and the eager model over some frames.

    Attributes:
        frames: how many were compared.
        force_difference: eV/Å.
        energy_difference_per_atom: eV.
        largest_force: eV/Å, of the eager model.
        relative: the larger of both differences over the frame's largest force, or over 1 eV/Å
            where forces are smaller; of the worst frame.
        tolerance: of `relative`.
    """

    frames: int
    force_difference: float
    energy_difference_per_atom: float
    largest_force: float
    relative: float
    tolerance: float

    @property
    def holds(self) -> bool:
        # Written so that a NaN fails.
        return bool(np.isfinite(self.relative)) and self.relative <= self.tolerance


def artefact_forces(artefact: Artefact, frame: Frame) -> tuple[float, FloatArray]:
    """Return the energy (eV, relative to isolated atoms) and forces (eV/Å) of the script."""
    module = artefact.bind(frame.atomic_numbers, periodic=frame.is_periodic)
    positions = torch.tensor(frame.positions * NM_PER_ANGSTROM, requires_grad=True)
    box = torch.tensor(frame.cell * NM_PER_ANGSTROM) if frame.is_periodic else None
    energy = module(positions, box)
    (gradient,) = torch.autograd.grad(energy, positions)
    forces: FloatArray = -gradient.numpy() / KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM
    return float(energy.detach()) / KJ_PER_MOL_PER_EV, forces


def fused_forces(artefact: Artefact, frame: Frame) -> tuple[float, FloatArray]:
    """Return the energy (eV, relative to isolated atoms) and forces (eV/Å) by fused operators."""
    potential = ArtefactPotential(
        artefact, frame.atomic_numbers, periodic=frame.is_periodic, kernel="fused"
    )
    return potential.energy_and_forces(frame.positions, frame.cell if frame.is_periodic else None)


def compare(
    artefact: Artefact,
    checkpoint: Checkpoint,
    frames: Sequence[Frame],
    kernel: KernelName = "torchscript",
) -> Parity:
    """Return the differences between an artefact and the checkpoint it was made from."""
    of_kernel = artefact_forces if kernel == "torchscript" else fused_forces
    return differences(partial(of_kernel, artefact), checkpoint, artefact.manifest.dtype, frames)


def differences(
    forces_of: Callable[[Frame], tuple[float, FloatArray]],
    checkpoint: Checkpoint,
    dtype: DtypeName,
    frames: Sequence[Frame],
) -> Parity:
    """Return the differences between energies (eV) and forces (eV/Å) and the eager model's.

    Args:
        forces_of: of a frame, relative to isolated atoms.
        checkpoint: the eager model.
        dtype: that it is evaluated in.
        frames: to compare on.
    """
    network = network_in(checkpoint, dtype)
    force, energy, largest, relative = 0.0, 0.0, 0.0, 0.0
    for frame in frames:
        graph = build_graph(frame, checkpoint.config.elements, network.cutoff)
        eager = evaluate(network, graph)
        exported_energy, exported_forces = forces_of(frame)
        expected = eager.forces.numpy()
        # np.max keeps a NaN where Python's max would drop it.
        of_forces = float(np.abs(exported_forces - expected).max())
        of_energy = abs(exported_energy - float(eager.energies[0])) / frame.n_atoms
        own_largest = float(np.abs(expected).max())
        force, energy = float(np.max([force, of_forces])), float(np.max([energy, of_energy]))
        largest = float(np.max([largest, own_largest]))
        worst = np.max([of_forces, of_energy]) / max(1.0, own_largest)
        relative = float(np.max([relative, worst]))
    return Parity(len(frames), force, energy, largest, relative, FORCE_TOLERANCE[dtype])


def require_parity(parity: Parity) -> None:
    """Refuse an artefact whose forces are not the model's.

    Raises:
        InputError: the difference is larger than the tolerance, or not a number.
    """
    if not parity.holds:
        raise InputError(
            "the exported model is not the eager one: expected forces (eV/Å) and energies "
            f"(eV/atom) within {parity.tolerance:g} of a frame's largest force (1 eV/Å at least), "
            f"found {parity.relative:.3g} of it, {parity.force_difference:.3g} eV/Å at most"
        )


def probe_frames(elements: Sequence[int], seed: int = 0) -> list[Frame]:
    """Return low-symmetry frames of these elements: a cluster, and a triclinic cell, twice.

    The second triclinic frame has its atoms moved by whole cell vectors (unwrapped coordinates).
    """
    rng = np.random.default_rng(seed)
    spacing, n_side = 1.7, 3
    grid = np.stack(np.meshgrid(*[np.arange(n_side)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = spacing * grid + rng.uniform(-0.25, 0.25, (n_side**3, 3))
    numbers = rng.choice(np.asarray(elements, dtype=np.int64), n_side**3)
    cell = spacing * n_side * np.array([[1.0, 0.0, 0.0], [0.15, 1.0, 0.0], [-0.1, 0.2, 1.0]])
    periodic = np.ones(3, dtype=bool)
    unwrapped = positions + rng.integers(-2, 3, (n_side**3, 3)) @ cell
    return [
        Frame(numbers, positions),
        Frame(numbers, positions, cell, periodic),
        Frame(numbers, unwrapped, cell, periodic),
    ]
