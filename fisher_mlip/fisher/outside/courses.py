"""Scans side by side: what is asked of each is asked of all at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import BoolArray, FloatArray, IntArray
from fisher_mlip.fisher.outside.scan import Scan, barriers, reachable


@dataclass(frozen=True, eq=False)
class Courses:
    """Where the points of scans are among all points, one scan after the other.

    Attributes:
        points: (n_scans, longest), a scan's last point over and over where it is shorter: that
            changes neither what is reached nor where the energy first comes down.
        inside: (n_scans, longest - 1), the intervals that there are.
        starts: (n_intervals,), the point at which each of these begins.
    """

    points: IntArray
    inside: BoolArray
    starts: IntArray

    @staticmethod
    def of(scans: Sequence[Scan]) -> "Courses":
        sizes = np.array([len(scan.points) for scan in scans], dtype=np.int64)
        first = np.cumsum(sizes) - sizes
        step = np.arange(sizes.max(initial=1))
        points = first[:, None] + np.minimum(step, sizes[:, None] - 1)
        inside = step[1:] < sizes[:, None]
        return Courses(points, inside, points[:, :-1][inside])

    def reached(self, energies: FloatArray) -> BoolArray:
        """Return (..., n_intervals) of the energies (..., n_points) of all points, eV."""
        return np.asarray(reachable(energies[..., self.points])[..., self.inside])

    def barriers(self, energies: FloatArray) -> FloatArray:
        """Return (..., n_scans), eV, of the energies (..., n_points) of all points, eV."""
        return barriers(energies[..., self.points])

    def climbs(self, energies: FloatArray) -> FloatArray:
        """Return (..., n_intervals), what energies (..., n_points) rise by in each interval."""
        return np.asarray(energies[..., self.starts + 1] - energies[..., self.starts])
