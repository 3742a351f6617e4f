"""Frames on which any potential can be evaluated: finite, and no two atoms in one place."""

from collections.abc import Iterable

import numpy as np
from scipy.spatial import cKDTree

from fisher_mlip.data.frames import Frame
from fisher_mlip.errors import InputError

COINCIDING = 0.01  # Å


def require_places(frames: Iterable[Frame]) -> None:
    """Refuse frames on which no potential has finite forces.

    Raises:
        InputError: a position or a cell that is not finite, or two atoms in one place.
    """
    for index, frame in enumerate(frames):
        broken = np.flatnonzero(~np.isfinite(frame.positions).all(axis=1))
        if len(broken) or not np.isfinite(frame.cell).all():
            where = f"atom {broken[0]}" if len(broken) else "the cell"
            raise InputError(
                f"expected finite positions and cells, found others for {where} of frame {index}"
            )
        close = sorted(cKDTree(frame.positions).query_pairs(COINCIDING))
        if close:
            raise InputError(
                f"expected atoms at least {COINCIDING} Å apart, found atoms {close[0][0]} and "
                f"{close[0][1]} of frame {index} in one place"
            )
