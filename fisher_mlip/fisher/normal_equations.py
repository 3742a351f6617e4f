"""The normal equations of force matching, accumulated over frames and never holding G."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.fused_layers import fused_layers
from fisher_mlip.fisher.jacobian import feature_count
from fisher_mlip.fisher.label_rows import LabelRows
from fisher_mlip.fisher.sums import RunningSums, Sums
from fisher_mlip.fisher.workers import map_in_order
from fisher_mlip.model.network import EquivariantNetwork

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
    most_atoms: int | None = None,
    advance: Callable[[int], object] = lambda n_frames: None,
) -> NormalEquations:
    """Return the normal equations of all `frames` in one pass, a few hundred atoms at a time.

    Args:
        network: the model whose features are used and whose predictions are corrected.
        frames: frames with forces; energies and stresses count where there are any.
        elements: the model's atomic numbers.
        weights: (n_frames,), of each frame; ones when None.
        virials: also accumulate the virials of frames with a stress.
        most_atoms: of a frame, whose forces are summed (see `drawn_atoms`); None: all.
        advance: called with the number of frames just done, for progress bars.

    Raises:
        InputError: no frames, a frame without forces, or one with NaN.
    """
    if len(frames) == 0:
        raise InputError("expected at least one frame to solve from, found none")
    weight = np.ones(len(frames)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not (weight >= 0.0).all():
        raise InputError("expected weights of zero or more for the frames, found others")

    layers = fused_layers(network)

    def rows(batch: tuple[Frames, FloatArray]) -> LabelRows:
        return LabelRows.of(
            network,
            batch[0],
            elements,
            batch[1],
            virials=virials,
            layers=layers,
            most_atoms=most_atoms,
        )

    batches = _with_weights(frames.batches(ATOMS_PER_BATCH), weight)
    n_features = feature_count(network)
    running = [RunningSums(n) for n in (n_features, n_features + len(elements), n_features)]
    for found in map_in_order(rows, batches, network.energy_scale.device):
        for sums, part in zip(running, (found.forces, found.energies, found.virials), strict=True):
            if part is not None:
                sums.add(part.matrix, part.residuals, part.weights, part.stands_for)
        advance(found.n_frames)
    forces, energies, strains = (sums.total() for sums in running)
    return NormalEquations(forces, energies, strains, len(frames))


def _with_weights(
    batches: Iterator[Frames], weights: FloatArray
) -> Iterator[tuple[Frames, FloatArray]]:
    start = 0
    for batch in batches:
        yield batch, weights[start : start + len(batch)]
        start += len(batch)
