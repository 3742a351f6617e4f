"""A reference whose truth is known everywhere has no holes on the scans made of its frames."""

from collections import Counter

import numpy as np
import pytest

from fisher_mlip.data.calculators import OPLS_NAME, build_calculator
from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.data.labeling import label_frames
from fisher_mlip.data.sampling import sample_gas
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.outside.scan import Scan
from fisher_mlip.fisher.outside.scans import make_scans


@pytest.fixture(scope="module")
def labelled() -> list[tuple[Scan, FloatArray]]:
    """Scans out of OPLS-AA ethanol at 500 K, with its energies where it can tell the bonds."""
    scans = make_scans(sample_gas(100, 500.0, seed=1), n_starts=2)
    calculator = build_calculator(OPLS_NAME, {})
    found = []
    for scan in scans:
        try:
            frames = label_frames(Frames(scan.points), calculator, skip_failed=True).frames
        except InputError:
            # Atoms that are near enough to count as bonded, at every point.
            continue
        if len(frames) == len(scan.points):
            found.append((scan, np.array([frame.energy for frame in frames], dtype=np.float64)))
    return found


def test_the_reference_has_no_holes(labelled: list[tuple[Scan, FloatArray]]) -> None:
    kinds = Counter(scan.kind for scan, _ in labelled)
    assert min(kinds[kind] for kind in ("stretch", "compress", "bend", "mode")) >= 10
    assert not [f"{s.kind} {s.name}" for s, e in labelled if np.isfinite(s.barrier(e))]


def test_the_reference_rises_as_is_asked_for(labelled: list[tuple[Scan, FloatArray]]) -> None:
    asked = np.concatenate([scan.rise[scan.reachable(e)] for scan, e in labelled])
    rises = np.concatenate([np.diff(e)[scan.reachable(e)] for scan, e in labelled])
    assert len(asked) > 200
    assert np.mean(rises < asked) < 0.02


def test_sabotage_a_reference_turned_upside_down_has_holes(
    labelled: list[tuple[Scan, FloatArray]],
) -> None:
    holes = [scan for scan, e in labelled if np.isfinite(scan.barrier(-e))]
    assert len(holes) > 0.9 * len(labelled)
