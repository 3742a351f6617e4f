"""The rows of least squares that a few frames make: forces, energies, virials."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.drawn_atoms import DrawnAtoms, drawn_atoms
from fisher_mlip.fisher.fused_layers import FusedLayers, predicted
from fisher_mlip.fisher.jacobian import Jacobian, feature_jacobian
from fisher_mlip.model.graph import Graph, graph_of_frames
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import Prediction


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows a of a linear model a . theta of residuals r; float64.

    Attributes:
        matrix: (n, D).
        residuals: (n,).
        weights: (n,).
        stands_for: (n,), how many rows of the data each stands for; None: one.
    """

    matrix: Tensor
    residuals: Tensor
    weights: Tensor
    stands_for: Tensor | None = None


@dataclass(frozen=True, eq=False)
class LabelRows:
    """Rows of some frames.

    Attributes:
        forces: rows G, residuals F - F_model, eV/Å; of all atoms, or of those that are drawn.
        energies: rows of minus a frame's features and minus its atoms by element, both per atom;
            residuals E - E_model, eV/atom; of the frames whose energy is known.
        virials: rows -dD/d(strain) per atom, residuals V stress - V stress_model, eV/atom; of the
            frames whose stress is known, None where none is or none is wanted.
        n_frames: frames these are of.
    """

    forces: Rows
    energies: Rows
    virials: Rows | None
    n_frames: int

    @staticmethod
    def of(
        network: EquivariantNetwork,
        frames: Frames,
        elements: list[int],
        weights: FloatArray,
        *,
        virials: bool,
        layers: FusedLayers | None = None,
        most_atoms: int | None = None,
    ) -> "LabelRows":
        """Differentiate the features of a batch of frames and compare the model with its labels.

        Args:
            network: the model.
            frames: with forces.
            elements: the model's atomic numbers.
            weights: (n_frames,).
            virials: also of frames with a stress.
            layers: the network's, None to go without.
            most_atoms: of a frame, whose forces are taken (see `drawn_atoms`); None: all.

        Raises:
            InputError: a frame without forces, or with NaN.
        """
        for frame in frames:
            _require_forces(frame, frames.source)
        graph = graph_of_frames(frames, elements, network.cutoff).to(network.energy_scale.device)
        known = np.array([_has_virial(frame) for frame in frames])
        strain = virials and bool(known.any())
        drawn = None if most_atoms is None else drawn_atoms(frames, most_atoms)
        atoms = None if drawn is None else drawn.index.to(graph.positions.device)
        jacobian = feature_jacobian(network, graph, strain=strain, layers=layers, atoms=atoms)
        model = predicted(network, graph, layers, stress=strain)
        weight = torch.from_numpy(np.ascontiguousarray(weights)).to(graph.positions.device)
        return LabelRows(
            _force_rows(frames, graph, jacobian, model, weight, drawn),
            _energy_rows(frames, graph, jacobian, model, weight, len(elements)),
            _virial_rows(frames, graph, jacobian, model, weight, known) if strain else None,
            graph.n_frames,
        )


def _require_forces(frame: Frame, source: str) -> None:
    if frame.forces is None:
        raise InputError(f"expected forces in every frame of {source}, found none in one")
    if not (np.isfinite(frame.forces).all() and np.isfinite(frame.positions).all()):
        raise InputError(f"expected finite frames in {source}, found NaN in one")


def _has_virial(frame: Frame) -> bool:
    if frame.stress is None or np.linalg.det(frame.cell) == 0.0:
        return False
    return bool(np.isfinite(frame.stress).all())


def _force_rows(
    frames: Frames,
    graph: Graph,
    jacobian: Jacobian,
    model: Prediction,
    weight: Tensor,
    drawn: DrawnAtoms | None,
) -> Rows:
    labels = np.concatenate([frame.forces for frame in frames if frame.forces is not None])
    residuals = torch.from_numpy(labels).to(weight.device) - model.forces
    weights, matrix = weight[graph.frame_index], jacobian.displacement.flatten(0, 1)
    if drawn is None:
        return Rows(matrix, residuals.flatten(), weights.repeat_interleave(3))
    own = drawn.index.to(weight.device)
    stands_for = drawn.stands_for.to(weight.device).repeat_interleave(3)
    return Rows(matrix, residuals[own].flatten(), weights[own].repeat_interleave(3), stands_for)


def _energy_rows(
    frames: Frames,
    graph: Graph,
    jacobian: Jacobian,
    model: Prediction,
    weight: Tensor,
    n_elements: int,
) -> Rows:
    energies = [
        np.nan
        if frame.energy is None
        else frame.energy - sum(frames.reference_energies[int(z)] for z in frame.atomic_numbers)
        for frame in frames
    ]
    counts = torch.zeros((graph.n_frames, n_elements), dtype=torch.float64, device=weight.device)
    place = (graph.frame_index, graph.species)
    counts.index_put_(place, torch.ones_like(graph.positions[:, 0]), accumulate=True)
    n_atoms = counts.sum(dim=1)
    rows = torch.cat([jacobian.totals, counts], dim=1) / n_atoms[:, None]
    target = torch.tensor(energies, dtype=torch.float64, device=weight.device)
    known = torch.isfinite(target)
    residuals = (target - model.energies) / n_atoms
    return Rows(-rows[known], residuals[known], weight[known])


def _virial_rows(
    frames: Frames,
    graph: Graph,
    jacobian: Jacobian,
    model: Prediction,
    weight: Tensor,
    known: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> Rows:
    assert jacobian.strain is not None and model.stresses is not None
    stresses = [np.zeros((3, 3)) if frame.stress is None else frame.stress for frame in frames]
    volumes = np.array([abs(np.linalg.det(frame.cell)) for frame in frames])
    label = torch.from_numpy(np.array(stresses)).to(weight.device)
    per_atom = torch.from_numpy(volumes).to(weight.device) / graph.atoms_per_frame()
    off = (label - model.stresses) * per_atom[:, None, None]
    upper = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    voigt = torch.stack([off[:, i, j] for i, j in upper], dim=1)
    rows = jacobian.strain / graph.atoms_per_frame()[:, None, None]
    chosen = torch.from_numpy(known).to(weight.device)
    residuals, weights = voigt[chosen].flatten(), weight[chosen].repeat_interleave(6)
    return Rows(-rows[chosen].flatten(0, 1), residuals, weights)
