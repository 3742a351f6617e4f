"""Constant-energy dynamics of many separate molecules at once, until a bond breaks."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from ase.data import atomic_masses

from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.export.artefact import pairs_within_molecules
from fisher_mlip.fisher.outside.connectivity import Connectivity
from fisher_mlip.model.checkpoint import Checkpoint
from fisher_mlip.model.graph import species_of
from fisher_mlip.units import BOLTZMANN_EV_PER_K, EV_PER_AMU_ANGSTROM2_PER_FS2

# (Å/fs^2) amu of 1 eV/Å.
ACCELERATION = 1.0 / EV_PER_AMU_ANGSTROM2_PER_FS2
BROKEN = 0.5  # Å off the mean length over the starting frames


@dataclass(frozen=True, eq=False)
class Survival:
    """When each replica broke.

    Attributes:
        times: (n_replicas,), ps; the length of the run where nothing broke.
        broken: (n_replicas,).
    """

    times: FloatArray
    broken: np.ndarray[tuple[int], np.dtype[np.bool_]]

    @property
    def median(self) -> float:
        """Kaplan-Meier's median without earlier censoring; infinite if more than half survive."""
        if self.broken.mean() < 0.5:
            return float("inf")
        return float(np.sort(self.times)[(len(self.times) - 1) // 2])

    @property
    def survivors(self) -> int:
        return int((~self.broken).sum())


class GasDynamics:
    """Velocity Verlet for replicas of one molecule; those that broke are left out."""

    def __init__(
        self, checkpoint: Checkpoint, starts: Frames, temperature: float, seed: int
    ) -> None:
        frame = starts[0]
        self.network = copy.deepcopy(checkpoint.network).float().eval().requires_grad_(False)
        self.n_atoms = frame.n_atoms
        self.species = torch.from_numpy(
            species_of(frame.atomic_numbers, checkpoint.config.elements)
        )
        self.masses = torch.from_numpy(atomic_masses[frame.atomic_numbers])[:, None]
        self.positions = torch.from_numpy(np.stack([start.positions for start in starts]))
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(self.positions.shape, generator=generator, dtype=torch.float64)
        self.velocities = (
            noise * (BOLTZMANN_EV_PER_K * temperature * ACCELERATION / self.masses).sqrt()
        )
        drift = (self.masses * self.velocities).sum(1, keepdim=True) / self.masses.sum()
        self.velocities -= drift
        bonds = Connectivity.of(frame)
        self.bonds = torch.from_numpy(bonds.i), torch.from_numpy(bonds.j)
        self.lengths = self._bond_lengths().mean(dim=0)
        receivers, senders = pairs_within_molecules(np.zeros(self.n_atoms, dtype=np.int64))
        self.pairs = torch.from_numpy(receivers), torch.from_numpy(senders)

    def _bond_lengths(self) -> torch.Tensor:
        i, j = self.bonds
        return (self.positions[:, i] - self.positions[:, j]).norm(dim=2)

    def _forces(self) -> torch.Tensor:
        n = len(self.positions)
        positions = self.positions.clone().requires_grad_(True)
        first = self.n_atoms * torch.arange(n)[:, None]
        receivers, senders = ((first + pair).flatten() for pair in self.pairs)
        flat = positions.reshape(-1, 3)
        vectors = flat[senders] - flat[receivers]
        near = vectors.detach().square().sum(1) < self.network.cutoff**2
        energy = self.network(
            self.species.repeat(n), vectors[near].float(), senders[near], receivers[near]
        ).sum()
        return -torch.autograd.grad(energy, positions)[0]

    def run(self, steps: int, timestep: float) -> Survival:
        """Advance by `steps` of `timestep` fs; bonds are looked at after every step."""
        n = len(self.positions)
        times, broken = np.full(n, steps * timestep / 1000.0), np.zeros(n, dtype=bool)
        alive = np.arange(n)
        scale = 0.5 * timestep * ACCELERATION / self.masses
        forces = self._forces()
        for step in range(1, steps + 1):
            self.velocities += scale * forces
            self.positions += timestep * self.velocities
            off = (self._bond_lengths() - self.lengths).abs().amax(dim=1)
            whole = (off < BROKEN).numpy()
            times[alive[~whole]], broken[alive[~whole]] = step * timestep / 1000.0, True
            alive = alive[whole]
            if len(alive) == 0:
                break
            if not whole.all():
                kept = torch.from_numpy(whole)
                self.positions, self.velocities = self.positions[kept], self.velocities[kept]
            forces = self._forces()
            self.velocities += scale * forces
        return Survival(times, broken)
