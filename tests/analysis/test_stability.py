"""Broken bonds are found where they are, and nowhere else."""

import json
from collections.abc import Callable
from pathlib import Path

import mdtraj
import numpy as np
import pytest

from fisher_mlip.analysis import read_run
from fisher_mlip.analysis.stability import Stability, find_breaks
from fisher_mlip.data import Frame, Frames, write_frames
from fisher_mlip.errors import InputError

MakeRun = Callable[..., Path]
INTERVAL_PS = 0.1


def watched(folder: Path, threshold: float = 0.5, reference: Path | None = None) -> Stability:
    stability = find_breaks(read_run(folder), threshold=threshold, reference=reference)
    assert stability is not None
    return stability


def check_breaks(stability: Stability, breaks: dict[int, int]) -> None:
    """Frame k (from 0) is the trajectory's (k + 1)th step interval."""
    assert set(np.flatnonzero(stability.is_broken)) == set(breaks)
    for molecule, frame in breaks.items():
        assert stability.time_ps[molecule] == pytest.approx((frame + 1) * INTERVAL_PS)


@pytest.mark.parametrize("segments", [1, 3])
def test_known_breaking_times_are_recovered(make_run: MakeRun, segments: int) -> None:
    breaks = {1: 12, 3: 4, 6: 19}
    stability = watched(make_run(breaks=breaks, segments=segments))
    check_breaks(stability, breaks)
    assert stability.n_frames == 20
    assert stability.first_ps == pytest.approx(0.5)
    assert stability.bond_counts == {"H-O": 3}
    assert stability.curve.survival[-1] == pytest.approx(5 / 8)
    with pytest.raises(AssertionError):
        check_breaks(stability, breaks | {3: 5})


def test_a_molecule_broken_before_the_first_frame_is_broken(make_run: MakeRun) -> None:
    """The first frames alone would take the broken bond's length for its reference."""
    folder = make_run("broken", molecules=1, breaks={0: 0})
    whole = make_run("whole", molecules=1)
    assert watched(folder).n_broken == 0
    (whole / "topology.pdb").replace(folder / "topology.pdb")
    check_breaks(watched(folder), {0: 0})


def test_the_threshold_decides(make_run: MakeRun) -> None:
    folder = make_run(breaks={2: 5}, stretch=0.045)
    assert watched(folder).n_broken == 0
    assert watched(folder, threshold=0.4).n_broken == 1


def test_a_bond_across_the_boundary_is_whole(make_run: MakeRun) -> None:
    recipe = {"cell": 1.8, "molecules": 2, "shift": (-0.05, -0.03, 0.0)}
    folder = make_run("whole", **recipe)
    topology = str(folder / "topology.pdb")
    raw = mdtraj.load(str(folder / "trajectory.dcd"), top=topology)
    naive = mdtraj.compute_distances(raw, [[0, 1]], periodic=False)
    assert naive.max() > 1.0, "the molecule must lie across the boundary for this test to say much"
    assert watched(folder).n_broken == 0
    check_breaks(watched(make_run("broken", breaks={0: 7}, **recipe)), {0: 7})


def test_lost_positions_count_as_broken(make_run: MakeRun) -> None:
    folder = make_run(breaks={4: 9}, stretch=np.nan)
    check_breaks(watched(folder), {4: 9})


def reference_file(folder: Path, bond: float, numbers: tuple[int, ...] = (8, 1, 1)) -> Path:
    positions = np.array([[0.0, 0.0, 0.0], [bond, 0.0, 0.0], [0.0, bond, 0.0]])
    frame = Frame(np.array(numbers), positions, energy=0.0)
    path = folder / "reference.xyz"
    write_frames(path, Frames((frame,)))
    return path


def test_reference_lengths_come_from_frames(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run()
    assert watched(folder, reference=reference_file(tmp_path, 0.96)).n_broken == 0
    stability = watched(folder, reference=reference_file(tmp_path, 1.7))
    assert stability.n_broken == 8
    assert stability.first_ps == pytest.approx(INTERVAL_PS)
    assert "reference.xyz" in stability.reference_source


def test_reference_of_other_molecules_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    path = reference_file(tmp_path, 0.96, numbers=(1, 8, 1))
    with pytest.raises(InputError, match="expected a frame with the atoms O H H"):
        watched(make_run(), reference=path)


def test_a_cut_trajectory_is_read_as_far_as_it_is_whole(make_run: MakeRun) -> None:
    folder = make_run(breaks={1: 12})
    dcd = folder / "trajectory.dcd"
    dcd.write_bytes(dcd.read_bytes()[:-50])
    stability = watched(folder)
    assert stability.n_frames == 19
    check_breaks(stability, {1: 12})


@pytest.mark.parametrize("size", [0, 100, 276, 300])
def test_a_segment_without_a_frame_is_passed_over(make_run: MakeRun, size: int) -> None:
    folder = make_run()
    whole = (folder / "trajectory.dcd").read_bytes()
    (folder / "trajectory.part0002.dcd").write_bytes(whole[:size])
    record = json.loads((folder / "checkpoint.json").read_text())
    record["segments"].append({"file": "trajectory.part0002.dcd", "first_step": 2000})
    (folder / "checkpoint.json").write_text(json.dumps(record))
    assert watched(folder).n_frames == 20
    (folder / "trajectory.dcd").unlink()
    assert find_breaks(read_run(folder), threshold=0.5, reference=None) is None


def test_a_trajectory_of_another_system_is_refused(make_run: MakeRun) -> None:
    folder, other = make_run(), make_run("other", molecules=9)
    (folder / "trajectory.dcd").write_bytes((other / "trajectory.dcd").read_bytes())
    with pytest.raises(InputError, match="expected a DCD of 24 atoms"):
        watched(folder)
    (folder / "topology.pdb").write_bytes((other / "topology.pdb").read_bytes())
    with pytest.raises(InputError, match="expected 24 atoms"):
        watched(folder)
