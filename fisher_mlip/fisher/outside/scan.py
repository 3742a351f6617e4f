"""A way out of the data, and how a model's energy along it is judged."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fisher_mlip.data.frames import BoolArray, FloatArray, Frame

Kind = Literal["stretch", "compress", "bend", "contact", "mode"]
# How much of the rise that the reference's physics suggests is asked for.
PART = 0.7
# eV: what has climbed this far, 17 kT at 1000 K, is hardly reached in a simulation.
ENOUGH = 1.5
# eV: how far the energy must come down again to count as a hole beyond a barrier.
DROP = 0.1


@dataclass(frozen=True, eq=False)
class Scan:
    """Points on a way out.

    Attributes:
        kind: what is done.
        name: of what, for tables.
        points: frames without labels, the first at the edge of the data.
        path: (n_points,), Å, distance gone.
        rise: (n_points - 1,), eV, the least that the energy rises from each point to the next.
    """

    kind: Kind
    name: str
    points: tuple[Frame, ...]
    path: FloatArray
    rise: FloatArray

    def reachable(self, energies: FloatArray) -> BoolArray:
        """Return (n_points - 1,), the intervals before the energy has climbed far enough."""
        return reachable(energies)

    def barrier(self, energies: FloatArray) -> float:
        """Return how far the energy (n_points,), eV, climbs before it comes down again.

        Infinite where it does not come down, or only after it has climbed far enough.
        """
        return float(barriers(energies))


def reachable(energies: FloatArray) -> BoolArray:
    """Return (..., n_points - 1) of energies (..., n_points), eV, as `Scan.reachable`."""
    climbed = np.maximum.accumulate(energies - energies[..., :1], axis=-1)
    return np.asarray(climbed[..., :-1] < ENOUGH)


def barriers(energies: FloatArray) -> FloatArray:
    """Return (...,), eV, of energies (..., n_points), eV, as `Scan.barrier`."""
    above = energies - energies[..., :1]
    climbed = np.maximum.accumulate(above, axis=-1)[..., :-1]
    fallen = (climbed - above[..., 1:] > DROP) & (climbed < ENOUGH)
    # What has been climbed never comes down: its least is that of the first fall.
    found = np.min(np.where(fallen, climbed, np.inf), axis=-1, initial=np.inf)
    return np.where(np.isfinite(energies).all(axis=-1), found, 0.0)
