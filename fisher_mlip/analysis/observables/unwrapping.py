"""Positions that were wrapped into a box -> positions that go on across its faces."""

import numpy as np

from fisher_mlip.data.frames import FloatArray


class Unwrapper:
    """Follows atoms from frame to frame by their shortest displacement.

    Displacements are right as long as no atom moves half a box between frames; boxes may breathe.

    Source: S. von Bülow, J. T. Bullerjahn, G. Hummer, J. Chem. Phys. 153, 021101 (2020), the scheme
        that adds wrapped displacements.
    """

    def __init__(self) -> None:
        self._wrapped: FloatArray | None = None
        self._unwrapped: FloatArray | None = None

    def add(self, positions: FloatArray, cells: FloatArray | None) -> FloatArray:
        """Return the next frames unwrapped.

        Args:
            positions: (n_frames, n_atoms, 3), Å.
            cells: (n_frames, 3, 3), Å, rows are vectors; None where not periodic.

        Returns:
            (n_frames, n_atoms, 3), Å; those of the first frame of all as they are.
        """
        positions = np.asarray(positions, dtype=np.float64)
        if cells is None or not len(positions):
            return positions
        before = positions[:1] if self._wrapped is None else self._wrapped[None]
        steps = np.diff(np.concatenate([before, positions]), axis=0)
        vectors = np.asarray(cells, dtype=np.float64)
        steps -= np.round(steps @ np.linalg.inv(vectors)) @ vectors
        start = positions[0] if self._unwrapped is None else self._unwrapped
        found = start + np.cumsum(steps, axis=0)
        self._wrapped, self._unwrapped = positions[-1], found[-1]
        return np.asarray(found)
