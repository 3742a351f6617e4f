"""What the energy of any reference rises by outside the data, at the least.

Bonds as weak as chemistry's weaker ones, angles, and the bare screened nuclei of atoms that are not
bonded; as stiff as the frames themselves say, where they say it.
"""

from itertools import combinations

import numpy as np
import torch

from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.fisher.outside.ranges import Ranges, angle_kind_of, arms_of, contacts_of, kind_of
from fisher_mlip.fisher.outside.starts import Start
from fisher_mlip.model.repulsion import COULOMB, SCREENING, universal_screening

# eV and 1/Å: the deepest and the widest Morse bond; a softer one is shallower, a stiffer narrower.
DEPTH, WIDTH = 4.0, 1.9
# eV/Å^2 and eV/rad^2 where the frames do not tell.
BOND_STIFFNESS, ANGLE_STIFFNESS = 2.0 * DEPTH * WIDTH**2, 2.5


class ValenceField:
    """Energies of what is made of a start by moving its atoms, eV; bonds stay what they are."""

    def __init__(self, start: Start, seen: Ranges) -> None:
        self.start = start
        bonds, frame = start.bonds, start.frame
        ends = [kind_of(frame, *pair) for pair in zip(bonds.i, bonds.j, strict=True)]
        self.bond = np.array(
            [k for k, kind in enumerate(ends) if kind in seen.bonds], dtype=np.int64
        )
        spans = [seen.bonds[ends[k]] for k in self.bond]
        self.length = np.array([span.mean for span in spans])
        self.stiffness = np.array([span.stiffness or BOND_STIFFNESS for span in spans])
        self.angles, self.bent = _angles(start, seen)
        self.pairs, self.apart, self.strength, self.screening = _contacts(start)

    def energies(self, positions: FloatArray) -> FloatArray:
        """Return (n_points,), eV, of positions (n_points, n_atoms, 3), Å."""
        moved = positions - self.start.frame.positions
        bonds = self.start.bonds
        arms = bonds.vectors + moved[:, bonds.j] - moved[:, bonds.i]
        lengths = np.linalg.norm(arms, axis=2)
        energy = self._bond_energies(lengths[:, self.bond] - self.length).sum(axis=1)
        one, other = self.angles
        mean, stiffness, sign = self.bent
        inner = np.einsum("pax,pax->pa", arms[:, one], arms[:, other])
        cosine = sign * inner / (lengths[:, one] * lengths[:, other])
        off = np.arccos(np.clip(cosine, -1.0, 1.0)) - mean
        energy += (0.5 * stiffness * off**2).sum(axis=1)
        i, j = self.pairs
        distances = np.linalg.norm(self.apart + moved[:, j] - moved[:, i], axis=2)
        screened = universal_screening(torch.from_numpy(distances / self.screening)).numpy()
        return np.asarray(energy + (self.strength / distances * screened).sum(axis=1))

    def _bond_energies(self, stretched: FloatArray) -> FloatArray:
        """Return the energies (n_points, n_bonds) of a Morse bond that is harmonic inward."""
        depth = np.minimum(DEPTH, self.stiffness / (2.0 * WIDTH**2))
        width = np.sqrt(self.stiffness / (2.0 * depth))
        outward = depth * (1.0 - np.exp(-width * stretched)) ** 2
        return np.where(stretched > 0.0, outward, 0.5 * self.stiffness * stretched**2)


def _angles(start: Start, seen: Ranges) -> tuple[IntArray, FloatArray]:
    """Return the two bonds of each angle (2, n), and mean, stiffness and sign (3, n)."""
    bonds = start.bonds
    pairs, values = [], []
    for middle, around in arms_of(bonds).items():
        for one, other in combinations(around, 2):
            kind = angle_kind_of(start.frame, one.end, middle, other.end)
            if kind in seen.angles:
                span = seen.angles[kind]
                # Vectors go from i to j: turned about where the middle is j.
                turned = (bonds.i[one.bond] == middle) != (bonds.i[other.bond] == middle)
                pairs.append((one.bond, other.bond))
                stiffness = span.stiffness or ANGLE_STIFFNESS
                values.append((span.mean, stiffness, -1.0 if turned else 1.0))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2).T, np.array(values).reshape(-1, 3).T


def _contacts(start: Start) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """Return pairs (2, n), the vectors between them, Z Z' e^2 / (4 pi eps0), screening lengths."""
    found = list(contacts_of(start.frame, start.bonds))
    pairs = np.array([(i, j) for i, j, _ in found], dtype=np.int64).reshape(-1, 2).T
    charges = start.frame.atomic_numbers[pairs].astype(np.float64)
    screening = SCREENING / (charges**0.23).sum(axis=0)
    apart = np.array([vector for _, _, vector in found]).reshape(-1, 3)
    return pairs, apart, COULOMB * charges.prod(axis=0), screening
