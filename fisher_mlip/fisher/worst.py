"""Where a shipped head is worst outside the data: frames that a label would mend most."""

import numpy as np

from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.fisher.solution import Solution

# Points of one scan: where the energy comes down, and halfway there.
PER_SCAN = 2


def worst_points(solution: Solution, n_points: int) -> Frames:
    """Return points of the scans with the lowest barriers before a hole, without labels.

    Args:
        solution: with its scans.
        n_points: at most this many.

    Returns:
        frames, worst first; none where no scan has a hole.
    """
    along, chosen = solution.along, solution.chosen
    found = next((c for c in solution.candidates if chosen in c.rows), None)
    if not along.scans:
        return Frames(())
    ways, theta = along, None
    if found is not None and chosen is not None:
        ways, theta = found.head.along(along), chosen.theta
    barriers = ways.barriers(theta)
    points: list[Frame] = []
    for place in np.argsort(barriers):
        if not np.isfinite(barriers[place]) or len(points) + PER_SCAN > n_points:
            break
        scan, energies = along.scans[place], ways.energies(theta)[place]
        top = int(np.argmax(energies >= energies[0] + barriers[place] - 1e-9))
        down = min(top + 1, len(scan.points) - 1)
        points += [scan.points[k] for k in sorted({max(down // 2, 1), down})]
    return Frames(tuple(points), source="scans")
