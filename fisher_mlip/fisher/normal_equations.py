"""The normal equations of force matching, accumulated over frames and never holding G."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.jacobian import Jacobian, feature_jacobian
from fisher_mlip.fisher.sums import Sums
from fisher_mlip.model.graph import Graph, graph_of_frames
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import Prediction, evaluate

ATOMS_PER_BATCH = 270


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """Sums over frames of what determines theta, the correction to the model as it is.

    Attributes:
        forces: rows G, residuals F - F_model, eV/Å: the Fisher part.
        energies: rows of minus a frame's features and minus its atoms by element, both per atom;
            residuals E - E_model, eV/atom. The last columns are the energy offsets of elements.
        virials: rows -dD/d(strain) per atom, residuals V stress - V stress_model, eV/atom.
        n_frames: frames summed over.

    Source:
        minimal Fisher divergence to a Boltzmann density, 1/2 beta^2 E|grad U - G theta|^2, with
        grad U = -F: theta = T^-1 c, T = E[G'G], c = E[G' grad U]; beta cancels. The report prints
        theta = -T^-1 E[G' grad U] (its eq. 4); its eq. 3 has the sign of the cross term wrong.
    """

    forces: Sums
    energies: Sums
    virials: Sums
    n_frames: int

    @property
    def n_features(self) -> int:
        return len(self.forces.moment)

    def __add__(self, other: "NormalEquations") -> "NormalEquations":
        return NormalEquations(
            self.forces + other.forces,
            self.energies + other.energies,
            self.virials + other.virials,
            self.n_frames + other.n_frames,
        )

    def __sub__(self, other: "NormalEquations") -> "NormalEquations":
        return NormalEquations(
            self.forces - other.forces,
            self.energies - other.energies,
            self.virials - other.virials,
            self.n_frames - other.n_frames,
        )


def accumulate(
    network: EquivariantNetwork,
    frames: Frames,
    elements: list[int],
    *,
    weights: FloatArray | None = None,
    virials: bool = False,
    advance: Callable[[int], object] = lambda n_frames: None,
) -> NormalEquations:
    """Return the normal equations of all `frames` in one pass, a few hundred atoms at a time.

    Args:
        network: the model whose features are used and whose predictions are corrected.
        frames: frames with forces; energies and stresses count where there are any.
        elements: the model's atomic numbers.
        weights: (n_frames,), of each frame; ones when None.
        virials: also accumulate the virials of frames with a stress.
        advance: called with the number of frames just done, for progress bars.

    Raises:
        InputError: no frames, a frame without forces, or one with NaN.
    """
    if len(frames) == 0:
        raise InputError("expected at least one frame to solve from, found none")
    remaining = np.ones(len(frames)) if weights is None else np.asarray(weights, dtype=np.float64)
    total: NormalEquations | None = None
    for batch in frames.batches(ATOMS_PER_BATCH):
        graph = graph_of_frames(batch, elements, network.cutoff).to(network.energy_scale.device)
        labels = _Labels.of(batch, frames, elements)
        part = _sums(network, graph, labels, remaining[: len(batch)], virials=virials)
        remaining = remaining[len(batch) :]
        total = part if total is None else total + part
        advance(len(batch))
    assert total is not None
    return total


@dataclass(frozen=True, eq=False)
class _Labels:
    """What is known of a batch; NaN where there is no label."""

    forces: FloatArray
    energies: FloatArray
    virials: FloatArray
    volumes: FloatArray

    @staticmethod
    def of(batch: Sequence[Frame] | Frames, frames: Frames, elements: list[int]) -> "_Labels":
        forces = []
        for frame in batch:
            if frame.forces is None:
                raise InputError(
                    f"expected forces in every frame of {frames.source}, found none in one"
                )
            if not (np.isfinite(frame.forces).all() and np.isfinite(frame.positions).all()):
                raise InputError(f"expected finite frames in {frames.source}, found NaN in one")
            forces.append(frame.forces)
        energies = [
            np.nan
            if frame.energy is None
            else frame.energy - sum(frames.reference_energies[int(z)] for z in frame.atomic_numbers)
            for frame in batch
        ]
        volumes = np.array([abs(np.linalg.det(frame.cell)) for frame in batch])
        virials = [
            np.full((3, 3), np.nan) if frame.stress is None else frame.stress * volume
            for frame, volume in zip(batch, volumes, strict=True)
        ]
        return _Labels(np.concatenate(forces), np.array(energies), np.array(virials), volumes)


def _sums(
    network: EquivariantNetwork,
    graph: Graph,
    labels: _Labels,
    weights: FloatArray,
    *,
    virials: bool,
) -> NormalEquations:
    known = np.isfinite(labels.virials).all(axis=(1, 2)) & (labels.volumes > 0)
    strain = virials and bool(known.any())
    jacobian = feature_jacobian(network, graph, strain=strain)
    model = evaluate(network, graph, stress=strain)
    device = graph.positions.device
    weight = torch.from_numpy(np.ascontiguousarray(weights)).to(device)
    by_atom = weight[graph.frame_index].repeat_interleave(3)
    rows = jacobian.displacement.flatten(0, 1)
    residual = torch.from_numpy(labels.forces).to(device) - model.forces
    n_columns = rows.shape[1]
    return NormalEquations(
        Sums.of_rows(rows, residual.flatten(), by_atom),
        _energy_sums(network, graph, jacobian, model, labels, weight),
        _virial_sums(graph, jacobian, model, labels, weight, known)
        if strain
        else Sums.zeros(n_columns),
        graph.n_frames,
    )


def _energy_sums(
    network: EquivariantNetwork,
    graph: Graph,
    jacobian: Jacobian,
    model: Prediction,
    labels: _Labels,
    weight: Tensor,
) -> Sums:
    n_elements = len(network.shift)
    counts = torch.zeros((graph.n_frames, n_elements), dtype=torch.float64, device=weight.device)
    place = (graph.frame_index, graph.species)
    counts.index_put_(place, torch.ones_like(graph.positions[:, 0]), accumulate=True)
    n_atoms = counts.sum(dim=1)
    rows = torch.cat([jacobian.totals, counts], dim=1) / n_atoms[:, None]
    target = torch.from_numpy(labels.energies).to(weight.device)
    known = torch.isfinite(target)
    residual = (target - model.energies) / n_atoms
    return Sums.of_rows(-rows[known], residual[known], weight[known])


def _virial_sums(
    graph: Graph,
    jacobian: Jacobian,
    model: Prediction,
    labels: _Labels,
    weight: Tensor,
    known: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> Sums:
    assert jacobian.strain is not None and model.stresses is not None
    device = weight.device
    n_atoms = graph.atoms_per_frame().double()
    volumes = torch.from_numpy(labels.volumes).to(device)
    target = torch.from_numpy(labels.virials).to(device)
    residual = (target - model.stresses * volumes[:, None, None]) / n_atoms[:, None, None]
    upper = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    voigt = torch.stack([residual[:, i, j] for i, j in upper], dim=1)
    rows = jacobian.strain / n_atoms[:, None, None]
    chosen = torch.from_numpy(known).to(device)
    return Sums.of_rows(
        -rows[chosen].flatten(0, 1),
        voigt[chosen].flatten(),
        weight[chosen].repeat_interleave(6),
    )
