"""Scans of different lengths side by side against each of them alone."""

import numpy as np

from fisher_mlip.data.frames import Frame
from fisher_mlip.fisher.outside.courses import Courses
from fisher_mlip.fisher.outside.scan import Scan

POINT = Frame(np.array([1]), np.zeros((1, 3)))
LENGTHS = (2, 9, 5, 3)


def scan(n_points: int) -> Scan:
    path = 0.1 * np.arange(n_points)
    return Scan("stretch", "C0-H1", (POINT,) * n_points, path, np.full(n_points - 1, 0.05))


def test_each_scan_is_what_it_is_alone() -> None:
    """Energies that wander, so that some scans come down at their last point, and some blow up."""
    scans = [scan(n) for n in LENGTHS]
    ends = np.cumsum(LENGTHS)[:-1]
    rng = np.random.default_rng(0)
    energies = np.cumsum(rng.normal(0.1, 0.4, size=(200, sum(LENGTHS))), axis=1)
    energies[::50, 4] = np.nan
    courses = Courses.of(scans)
    barriers, reached = courses.barriers(energies), courses.reached(energies)
    climbs = courses.climbs(energies)
    for k, whole in enumerate(energies):
        own = np.split(whole, ends)
        pairs = list(zip(scans, own, strict=True))
        np.testing.assert_array_equal(barriers[k], [s.barrier(e) for s, e in pairs])
        np.testing.assert_array_equal(
            reached[k], np.concatenate([s.reachable(e) for s, e in pairs])
        )
        np.testing.assert_array_equal(climbs[k], np.concatenate([np.diff(e) for e in own]))
    assert np.isfinite(barriers).any(axis=0).all()
    assert np.isinf(barriers).any(axis=0).all()


def test_no_scans_have_no_points() -> None:
    courses = Courses.of([])
    assert courses.barriers(np.zeros(0)).shape == (0,)
    assert courses.reached(np.zeros(0)).shape == (0,)
