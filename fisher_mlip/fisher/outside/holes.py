"""Energies of a model and of its head along scans, holes in them, and a head without them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import logsumexp

from fisher_mlip.data.frames import BoolArray, FloatArray, Frames
from fisher_mlip.fisher.outside.scan import ENOUGH, Scan
from fisher_mlip.fisher.solve import LinearSystem, Spectrum
from fisher_mlip.model.graph import graph_of_frames
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import network_inputs, sum_by_frame
from fisher_mlip.units import BOLTZMANN_EV_PER_K

ATOMS_PER_BATCH = 900
ROUNDS = 6
# K, hot enough that a hole is found by a short simulation.
HOT = 1000.0
# eV/Å.
FLAT = 0.3


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

    def energies(self, theta: FloatArray | None) -> list[FloatArray]:
        """Return the energies of each scan, eV; of the base where theta is None."""
        total = self.base if theta is None else self.base + self.features @ theta
        ends = np.cumsum([len(scan.points) for scan in self.scans])
        return np.split(total, ends[:-1])

    def barriers(self, theta: FloatArray | None = None) -> FloatArray:
        """Return what the energy climbs on each scan before it comes down, eV; else infinity."""
        pairs = zip(self.scans, self.energies(theta), strict=True)
        return np.array([scan.barrier(energy) for scan, energy in pairs])

    def holes(self, theta: FloatArray | None = None) -> list[str]:
        """Return the scans along which the energy comes down again, as "kind name"."""
        pairs = zip(self.scans, self.barriers(theta), strict=True)
        return [f"{scan.kind} {scan.name}" for scan, barrier in pairs if np.isfinite(barrier)]

    def effective_barrier(self, theta: FloatArray | None = None) -> float:
        """Return -kT log of the mean of exp(-barrier / kT) over the scans, eV, at 1000 K.

        The lowest ways out count most, as they do in a rate; ENOUGH where there is none.
        """
        thermal = BOLTZMANN_EV_PER_K * HOT
        heights = np.minimum(self.barriers(theta), ENOUGH)
        return float(-thermal * (logsumexp(-heights / thermal) - np.log(len(heights))))


@torch.no_grad()
def scan_energies(
    network: EquivariantNetwork, scans: Sequence[Scan], elements: list[int]
) -> ScanEnergies:
    """Evaluate a network and the features of its head at all points of scans."""
    frames = Frames(tuple(frame for scan in scans for frame in scan.points))
    if len(frames) == 0:
        return ScanEnergies(scans, np.zeros(0), np.zeros((0, 0)))
    base, features = [], []
    for batch in frames.batches(ATOMS_PER_BATCH):
        graph = graph_of_frames(batch, elements, network.cutoff).to(network.energy_scale.device)
        inputs = network_inputs(network, graph, graph.positions, graph.cells)
        base.append(sum_by_frame(network(*inputs), graph).cpu().numpy())
        rows = network.last_layer_features(*inputs).double()
        features.append(sum_by_frame(rows, graph).cpu().numpy())
    return ScanEnergies(scans, np.concatenate(base), np.concatenate(features))


class RisingSolve:
    """Solutions whose energies rise along scans wherever they are reached.

    Where the energy rises by less than a scan asks for, the missing slope joins the squared
    errors; which intervals those are is found in a few rounds (an active set). As what is reached
    depends on the energies before it, rounds may turn back and forth: then the one with the
    highest barriers counts. Each round is a solve in as many unknowns as there are features, or
    such intervals if they are fewer (Woodbury's identity); what does not depend on ridge and weight
    is computed once.
    """

    def __init__(self, system: LinearSystem, spectrum: Spectrum, along: ScanEnergies) -> None:
        kept = slice(len(spectrum.values) - spectrum.rank, None)
        self.along = along
        self.slopes = Slopes.of(along)
        self.values = spectrum.values[kept]
        self.vectors = spectrum.vectors[:, kept] / spectrum.scale[:, None]
        self.moment = self.vectors.T @ system.moment
        self.projected = self.slopes.rows @ self.vectors

    def theta(self, ridge: float, weight: float) -> FloatArray:
        """Return theta (D,).

        Args:
            ridge: as in `solve`.
            weight: of the mean squared missing slope, relative to that asked for, in (eV/Å)^2;
                the mean squared force error counts 1.
        """
        found = self.vectors @ (self.moment / (self.values + ridge))
        before = np.zeros(len(self.projected), dtype=bool)
        safest, highest = found, -np.inf
        for _ in range(ROUNDS):
            chosen = self.slopes.wanting(self.along, found)
            if np.array_equal(chosen, before):
                return np.asarray(found)
            before = chosen
            found = self.vectors @ self._amplitudes(chosen, ridge, weight)
            barrier = self.along.effective_barrier(found)
            if barrier >= highest:
                safest, highest = found, barrier
        return np.asarray(safest)

    def _amplitudes(self, chosen: BoolArray, ridge: float, weight: float) -> FloatArray:
        """Solve with the missing slopes of the chosen intervals among the squared errors."""
        strength = weight / len(self.projected)
        a, missing = self.projected[chosen], self.slopes.missing[chosen]
        # The normal equations gain strength (a a', -a r) of every chosen interval.
        if len(a) < len(self.values):
            inverse = 1.0 / (self.values + ridge)
            plain = inverse * self.moment
            kernel = (a * inverse) @ a.T + np.eye(len(a)) / strength
            return plain - inverse * (a.T @ np.linalg.solve(kernel, missing + a @ plain))
        gram = strength * (a.T @ a) + np.diag(self.values + ridge)
        return np.asarray(np.linalg.solve(gram, self.moment - strength * (a.T @ missing)))


@dataclass(frozen=True, eq=False)
class Slopes:
    """How much slope the base lacks in each interval, and what theta does about it.

    Attributes:
        rows: (n_intervals, D), -d(features)/d(path), over the slope asked for (no less than
            FLAT), so that a stiff bond counts no more than a soft angle.
        missing: (n_intervals,), the slope asked for less that of the base, in the same unit.
    """

    rows: FloatArray
    missing: FloatArray

    @staticmethod
    def of(along: ScanEnergies) -> "Slopes":
        ends = np.cumsum([len(scan.points) for scan in along.scans])[:-1]
        rows, missing = [], []
        for scan, energy, features in zip(
            along.scans,
            np.split(along.base, ends),
            np.split(along.features, ends),
            strict=True,
        ):
            steps = np.diff(scan.path)
            unit = np.maximum(scan.rise, FLAT * steps)
            rows.append(-np.diff(features, axis=0) / unit[:, None])
            missing.append((scan.rise - np.diff(energy)) / unit)
        return Slopes(np.concatenate(rows), np.concatenate(missing))

    def wanting(self, along: ScanEnergies, theta: FloatArray) -> BoolArray:
        """Return (n_intervals,), those that are reached and rise by less than is asked."""
        pairs = zip(along.scans, along.energies(theta), strict=True)
        reached = np.concatenate([scan.reachable(energy) for scan, energy in pairs])
        return np.asarray(reached & (self.missing + self.rows @ theta > 0.0))
