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
        climbed = np.maximum.accumulate(energies - energies[0])
        return np.asarray(climbed[:-1] < ENOUGH)

    def barrier(self, energies: FloatArray) -> float:
        """Return how far the energy (n_points,), eV, climbs before it comes down again.

        Infinite where it does not come down, or only after it has climbed far enough.
        """
        if not np.isfinite(energies).all():
            return 0.0
        climbed = np.maximum.accumulate(energies - energies[0])
        fallen = climbed[:-1] - (energies[1:] - energies[0]) > DROP
        fallen &= climbed[:-1] < ENOUGH
        return float(climbed[np.argmax(fallen)]) if fallen.any() else np.inf
