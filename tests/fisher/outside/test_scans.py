"""Ways out of the data: how far they go, which atoms move, and that they leave the data."""

from dataclasses import replace

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.fisher.outside.connectivity import Connectivity
from fisher_mlip.fisher.outside.scan import Scan
from fisher_mlip.fisher.outside.scans import CONTACT, make_scans
from fisher_mlip.testing import ethanol

NUMBERS, POSITIONS = ethanol()
# The name of each bond and the atoms that a stretch moves.
MOVED = {
    "C0-C1": {1, 5, 6, 7},
    "C0-O2": {2, 8},
    "C0-H3": {3},
    "C0-H4": {4},
    "C1-H5": {5},
    "C1-H6": {6},
    "C1-H7": {7},
    "O2-H8": {8},
}


@pytest.fixture(scope="module")
def scans(ethanol_frames: Frames) -> list[Scan]:
    return make_scans(ethanol_frames, n_starts=2)


def atoms_in(name: str) -> list[int]:
    return [int("".join(filter(str.isdigit, part))) for part in name.split("-")]


def distances(scan: Scan) -> FloatArray:
    i, j = atoms_in(scan.name)[:2]
    return np.array([np.linalg.norm(p.positions[j] - p.positions[i]) for p in scan.points])


def seen_lengths(frames: Frames, kind: tuple[int, int]) -> FloatArray:
    found = []
    for frame in frames:
        bonds = Connectivity.of(frame)
        ends = np.sort(frame.atomic_numbers[np.stack([bonds.i, bonds.j])], axis=0)
        found.append(bonds.lengths[(ends == np.sort(kind)[:, None]).all(axis=0)])
    return np.concatenate(found)


def assert_bond_scan(scan: Scan, frames: Frames) -> None:
    """From the edge of the data to twice the mean length, or to 0.6 of it."""
    i, j = atoms_in(scan.name)
    lengths = distances(scan)
    seen = seen_lengths(frames, (int(NUMBERS[i]), int(NUMBERS[j])))
    if scan.kind == "stretch":
        assert lengths[0] == pytest.approx(seen.max())
        assert 2.0 * seen.mean() <= lengths[-1] + 0.08 <= 2.0 * seen.mean() + 0.2
    else:
        assert lengths[0] == pytest.approx(seen.min())
        assert lengths[-1] == pytest.approx(0.6 * seen.mean(), abs=0.05)
    np.testing.assert_allclose(scan.path, np.abs(lengths - lengths[0]), atol=1e-12)
    moved = np.abs(scan.points[-1].positions - scan.points[0].positions).max(axis=1) > 1e-9
    assert set(np.flatnonzero(moved)) == MOVED[scan.name]


def test_every_bond_is_stretched_and_compressed(scans: list[Scan], ethanol_frames: Frames) -> None:
    for kind in ("stretch", "compress"):
        found = [scan for scan in scans if scan.kind == kind]
        assert sorted(scan.name for scan in found) == sorted(2 * list(MOVED))
        for scan in found:
            assert_bond_scan(scan, ethanol_frames)


def test_sabotage_half_the_way_is_not_enough(scans: list[Scan], ethanol_frames: Frames) -> None:
    whole = next(scan for scan in scans if scan.kind == "stretch")
    half = len(whole.points) // 2
    with pytest.raises(AssertionError):
        assert_bond_scan(
            Scan(whole.kind, whole.name, whole.points[:half], whole.path[:half], whole.rise[:half]),
            ethanol_frames,
        )


def test_atoms_that_are_not_bonded_are_pushed_together(
    scans: list[Scan], ethanol_frames: Frames
) -> None:
    found = [scan for scan in scans if scan.kind == "contact"]
    kinds = {tuple(sorted(NUMBERS[atoms_in(scan.name)])) for scan in found}
    assert kinds == {(1, 1), (1, 6), (1, 8)}
    for scan in found:
        lengths = distances(scan)
        assert (np.diff(lengths) < 0).all()
        # An atom that comes alone pulls at its own bond: the way ends where that gives way.
        assert CONTACT * lengths[0] - 0.09 < lengths[-1] < lengths[0] - 0.3
        moved = np.abs(scan.points[-1].positions - scan.points[0].positions).max(axis=1) > 1e-9
        assert np.flatnonzero(moved).tolist() == atoms_in(scan.name)[1:]
    ends = [distances(scan)[[0, -1]] for scan in found]
    assert any(last == pytest.approx(CONTACT * first, abs=0.09) for first, last in ends)
    closest = min(distances(scan)[0] for scan in found if "C" not in scan.name)
    bonded = Connectivity.of(ethanol_frames[0]).within_two_bonds()
    pairs = [(i, j) for j in range(9) for i in range(j) if (i, j) not in bonded]
    seen = [
        np.linalg.norm(frame.positions[i] - frame.positions[j])
        for frame in ethanol_frames
        for i, j in pairs
    ]
    assert closest == pytest.approx(min(seen))


def test_two_molecules_are_pushed_together_whole() -> None:
    apart = np.concatenate([POSITIONS, POSITIONS + np.array([0.0, 0.0, 4.3])])
    cell = np.diag([14.0, 14.0, 14.0])
    pair = Frame(np.tile(NUMBERS, 2), apart, cell, np.ones(3, dtype=bool))
    found = [s for s in make_scans(Frames((pair,))) if s.kind == "contact"]
    between = [s for s in found if len({a // 9 for a in atoms_in(s.name)}) == 2]
    assert between
    for scan in between:
        moved = scan.points[-1].positions - scan.points[0].positions
        molecule = atoms_in(scan.name)[1] // 9
        whole = slice(9 * molecule, 9 * molecule + 9)
        np.testing.assert_allclose(moved[whole], moved[whole][:1].repeat(9, axis=0), atol=1e-12)
        assert not np.delete(moved, np.r_[whole], axis=0).any()


def angle(frame: Frame, name: str) -> float:
    i, middle, j = atoms_in(name)
    one, other = (frame.positions[k] - frame.positions[middle] for k in (i, j))
    return float(np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other)))


def test_angles_are_bent_and_bonds_keep_their_lengths(scans: list[Scan]) -> None:
    found = [scan for scan in scans if scan.kind == "bend"]
    bends = {(atoms_in(s.name)[1], *sorted(atoms_in(s.name)[::2])) for s in found}
    # Six at CH2, six at CH3, one at O: every angle of two neighbors.
    assert len(bends) == 6 + 6 + 1
    for scan in found:
        angles = np.array([angle(point, scan.name) for point in scan.points])
        assert (np.diff(angles) > 0).all() or (np.diff(angles) < 0).all()
        assert abs(angles[-1] - angles[0]) > 0.5
        bonds = Connectivity.of(scan.points[0])
        for point in scan.points:
            vectors = point.positions[bonds.j] - point.positions[bonds.i]
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), bonds.lengths, atol=1e-9)


@pytest.mark.parametrize("kind", ["stretch", "compress", "bend", "contact"])
def test_wrapped_molecules_are_moved_as_whole_ones(ethanol_frames: Frames, kind: str) -> None:
    """A box whose boundary cuts the molecule gives the same internal distances."""
    whole = ethanol_frames[0]
    cell, pbc = np.diag([12.0, 12.5, 13.0]), np.ones(3, dtype=bool)
    inside = replace(whole, cell=cell, pbc=pbc, positions=whole.positions + 6.0)
    wrapped = replace(inside, positions=whole.positions % np.diag(cell))
    assert np.abs(wrapped.positions - whole.positions).max() > 5.0
    pairs = []
    for frame in (inside, wrapped):
        made = make_scans(Frames((frame,)), n_starts=1)
        ways = {(s.name, round(float(s.path[-1]), 6)): s for s in made if s.kind == kind}
        pairs.append(ways)
    assert pairs[0].keys() == pairs[1].keys()
    i, j = np.triu_indices(9, 1)
    for name, scan in pairs[0].items():
        for one, other in zip(scan.points, pairs[1][name].points, strict=True):
            apart = [p.positions[j] - p.positions[i] for p in (one, other)]
            near = [
                np.linalg.norm(v - np.diag(cell) * np.round(v / np.diag(cell)), axis=1)
                for v in apart
            ]
            np.testing.assert_allclose(near[0], near[1], atol=1e-9)


def test_points_carry_no_labels_and_the_budget_is_kept(ethanol_frames: Frames) -> None:
    scans = make_scans(ethanol_frames, max_atoms=500)
    points = [point for scan in scans for point in scan.points]
    assert 0 < sum(point.n_atoms for point in points) <= 500
    assert all(p.energy is None and p.forces is None and p.stress is None for p in points)
    everything = make_scans(ethanol_frames)
    for scan in everything:
        assert len(scan.points) == len(scan.path) == len(scan.rise) + 1 >= 2
        assert (scan.rise > 0).all()
        assert (np.diff(scan.path) > 0).all()


def test_the_same_seed_makes_the_same_scans(ethanol_frames: Frames) -> None:
    names = [[s.name for s in make_scans(ethanol_frames, n_starts=1, seed=k)] for k in (0, 0, 1)]
    assert names[0] == names[1] != names[2]


def test_data_that_go_further_than_the_scans_leave_nothing_to_scan() -> None:
    """A bond seen shorter than 0.6 of its mean has no compression that leaves the data."""
    water = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    frames = [Frame(np.array([8, 1, 1]), water) for _ in range(9)]
    squeezed = water * np.array([[1.0], [0.4], [1.0]])
    scans = make_scans(Frames((*frames, Frame(np.array([8, 1, 1]), squeezed))), n_starts=10)
    assert {scan.kind for scan in scans} >= {"stretch"}
    assert all(len(scan.points) >= 2 for scan in scans)
