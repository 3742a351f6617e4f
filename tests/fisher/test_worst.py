"""The points outside the data that a label would mend most."""

import numpy as np
import pytest

from fisher_mlip.data.frames import Frames
from fisher_mlip.fisher import Options, Solution, finetune
from fisher_mlip.fisher.worst import worst_points
from tests.fisher.conftest import LabelledBy, MakeCheckpoint


@pytest.fixture(scope="module")
def solution(
    random_checkpoint: MakeCheckpoint, labelled_by: LabelledBy, ethanol_frames: Frames
) -> Solution:
    """A random model, whose energies come down on many scans."""
    truth = labelled_by(random_checkpoint(seed=5), ethanol_frames)
    options = Options(kinds=("last-layer",), scan_weights=(0.0,), allow_holes=True)
    parts = truth.subset(range(8)), truth.subset(range(8, 12))
    return finetune(random_checkpoint(), *parts, options=options)


def test_they_are_points_of_the_scans_with_the_lowest_barriers(solution: Solution) -> None:
    holes = len(solution.shipped.holes)
    assert holes >= 2
    points = worst_points(solution, 4)
    assert 2 <= len(points) <= 4
    assert all(point.forces is None for point in points)
    found = next(c for c in solution.candidates if solution.chosen in c.rows)
    assert solution.chosen is not None
    barriers = found.head.along(solution.along).barriers(solution.chosen.theta)
    lowest = [solution.along.scans[k] for k in np.argsort(barriers)[:2]]
    for point in points:
        assert any(point is known for scan in lowest for known in scan.points)


def test_no_more_than_asked_for_and_none_without_scans(solution: Solution) -> None:
    assert len(worst_points(solution, 2)) == 2
    assert len(worst_points(solution, 1)) == 0
