"""Energies of a model and of its head along scans, and holes in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.special import logsumexp

from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.fisher.fused_layers import fused_layers
from fisher_mlip.fisher.jacobian import feature_totals, linearized
from fisher_mlip.fisher.outside.courses import Courses
from fisher_mlip.fisher.outside.scan import ENOUGH, Scan
from fisher_mlip.model.graph import graph_of_frames
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import sum_by_frame
from fisher_mlip.units import BOLTZMANN_EV_PER_K

ATOMS_PER_BATCH = 900
# K, hot enough that a hole is found by a short simulation.
HOT = 1000.0


@dataclass(frozen=True, eq=False)
class ScanEnergies:
    """Energies along scans, linear in theta: base + features theta.

    Attributes:
        scans: the ways out.
        base: (n_points of all scans,), eV, of the model as it is.
        features: (n_points, D), eV.
    """

    scans: Sequence[Scan]
    base: FloatArray
    features: FloatArray

    @cached_property
    def courses(self) -> Courses:
        """Where the scans are among the points."""
        return Courses.of(self.scans)

    def totals(self, theta: FloatArray | None) -> FloatArray:
        """Return the energies of all points, eV.

        Args:
            theta: (..., D), one or several; None for the base.

        Returns:
            (..., n_points).
        """
        return self.base if theta is None else self.base + theta @ self.features.T

    def energies(self, theta: FloatArray | None) -> list[FloatArray]:
        """Return the energies of each scan, eV; of the base where theta is None."""
        ends = np.cumsum([len(scan.points) for scan in self.scans])
        return np.split(self.totals(theta), ends[:-1])

    def barriers(self, theta: FloatArray | None = None) -> FloatArray:
        """Return what the energy climbs on each scan before it comes down, eV; else infinity."""
        return self.courses.barriers(self.totals(theta))

    def names(self, barriers: FloatArray) -> list[str]:
        """Return the scans with a barrier (n_scans,) before a hole, as "kind name"."""
        pairs = zip(self.scans, np.isfinite(barriers), strict=True)
        return [f"{scan.kind} {scan.name}" for scan, is_hole in pairs if is_hole]

    def holes(self, theta: FloatArray | None = None) -> list[str]:
        """Return the scans along which the energy comes down again, as "kind name"."""
        return self.names(self.barriers(theta))

    def effective_barrier(self, theta: FloatArray | None = None) -> float:
        """Return what `effective_barriers` does of one theta."""
        return float(effective_barriers(self.barriers(theta)))


def effective_barriers(barriers: FloatArray) -> FloatArray:
    """Return -kT log of the mean of exp(-barrier / kT) over the scans, eV, at 1000 K.

    The lowest ways out count most, as they do in a rate; ENOUGH where there is none.

    Args:
        barriers: (..., n_scans), eV.

    Returns:
        (...,).
    """
    thermal = BOLTZMANN_EV_PER_K * HOT
    heights = np.minimum(barriers, ENOUGH)
    total = logsumexp(-heights / thermal, axis=-1)
    return np.asarray(-thermal * (total - np.log(heights.shape[-1])))


@torch.no_grad()
def scan_energies(
    network: EquivariantNetwork, scans: Sequence[Scan], elements: list[int]
) -> ScanEnergies:
    """Evaluate a network and the features of its head at all points of scans."""
    frames = Frames(tuple(frame for scan in scans for frame in scan.points))
    if len(frames) == 0:
        return ScanEnergies(scans, np.zeros(0), np.zeros((0, 0)))
    base, features, layers = [], [], fused_layers(network)
    for batch in frames.batches(ATOMS_PER_BATCH):
        graph = graph_of_frames(batch, elements, network.cutoff).to(network.energy_scale.device)
        at = linearized(network, graph, layers)
        energies = network.read_out(at.nodes, graph.species)
        if network.repulsion is not None:
            ends = graph.senders, graph.receivers
            energies = energies + network.repulsion(graph.species, at.vectors, *ends)
        base.append(sum_by_frame(energies, graph).cpu().numpy())
        features.append((network.energy_scale.double() * feature_totals(at)).cpu().numpy())
    return ScanEnergies(scans, np.concatenate(base), np.concatenate(features))
