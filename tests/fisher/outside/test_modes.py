"""Quasi-harmonic modes: those of a molecule of springs, however its frames are turned."""

from dataclasses import replace

import numpy as np
import pytest
from ase.data import atomic_masses

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.fisher.outside.modes import FURTHEST, mode_scans
from fisher_mlip.fisher.outside.scan import PART, Scan
from fisher_mlip.testing import random_rotation

NUMBERS = np.array([6, 8, 1, 1])
REFERENCE = np.array([[0.0, 0, 0], [1.2, 0.1, 0], [-0.5, 0.9, 0.3], [-0.6, -0.8, 0.4]])
FIRST, SECOND = np.triu_indices(4, 1)
STIFFNESS = np.array([60.0, 30.0, 32.0, 8.0, 9.0, 7.0])  # eV/Å^2, of each pair


def energy_and_forces(positions: FloatArray) -> tuple[float, FloatArray]:
    """Springs between all pairs, at rest in the reference."""
    rest = np.linalg.norm(REFERENCE[SECOND] - REFERENCE[FIRST], axis=1)
    vectors = positions[SECOND] - positions[FIRST]
    lengths = np.linalg.norm(vectors, axis=1)
    pulls = (STIFFNESS * (lengths - rest) / lengths)[:, None] * vectors
    forces = np.zeros_like(positions)
    np.add.at(forces, FIRST, pulls)
    np.add.at(forces, SECOND, -pulls)
    return float(0.5 * STIFFNESS @ (lengths - rest) ** 2), forces


def sample(n_frames: int = 300, thermal: float = 2e-6) -> Frames:
    """Return thermal frames (kT in eV) of the linearized springs, each turned and moved."""
    step, rows = 1e-5, []
    for k in range(12):
        moved = np.zeros(12)
        moved[k] = step
        ends = [energy_and_forces(REFERENCE + s * moved.reshape(4, 3))[1] for s in (1, -1)]
        rows.append((ends[1] - ends[0]).ravel() / (2 * step))
    mass = np.repeat(np.sqrt(atomic_masses[NUMBERS]), 3)
    values, vectors = np.linalg.eigh(np.array(rows) / np.outer(mass, mass))
    modes, stiff = vectors[:, 6:] / mass[:, None], values[6:]
    rng = np.random.default_rng(0)
    frames = []
    for k in range(n_frames):
        q = rng.normal(size=6) * np.sqrt(thermal / stiff)
        positions = REFERENCE + (modes @ q).reshape(4, 3)
        forces, turn = energy_and_forces(positions)[1], random_rotation(k)
        frames.append(
            Frame(NUMBERS, positions @ turn.T + rng.normal(size=3), forces=forces @ turn.T)
        )
    return Frames(tuple(frames))


def assert_rises(scans: list[Scan]) -> None:
    """Six vibrations, both ways; what is asked for is a part of how the springs' energy rises."""
    assert sorted(scan.name[-1] for scan in scans) == ["+"] * 6 + ["-"] * 6
    for scan in scans:
        energies = np.array([energy_and_forces(point.positions)[0] for point in scan.points])
        np.testing.assert_allclose(np.diff(energies), scan.rise / PART, rtol=0.25)


def test_modes_are_those_of_the_springs() -> None:
    assert_rises(list(mode_scans(sample())))


@pytest.mark.parametrize("factor", [2.0, -1.0])
def test_sabotage_forces_of_other_springs_are_caught(factor: float) -> None:
    frames = sample()
    wrong = tuple(f.relabelled(forces=factor * f.forces) for f in frames if f.forces is not None)
    with pytest.raises(AssertionError):
        assert_rises(list(mode_scans(Frames(wrong))))


def test_points_go_from_the_edge_of_the_data_outward_and_stay_finite() -> None:
    for scan in mode_scans(sample()):
        positions = np.array([point.positions for point in scan.points])
        assert np.isfinite(positions).all()
        gone = np.linalg.norm((positions - positions[0]).reshape(len(positions), -1), axis=1)
        np.testing.assert_allclose(gone, scan.path, atol=1e-10)
        assert (np.diff(scan.path) > 0).all()
        assert all(p.energy is None and p.forces is None for p in scan.points)
        # The edge is at a distance of 1, the end at FURTHEST, from the mean of the mode.
        energies = [energy_and_forces(p)[0] for p in positions]
        assert energies[-1] / energies[0] < 3.0 * FURTHEST**2
        assert energies[-1] > energies[0] > 0.0


def test_what_has_no_modes_is_left_out() -> None:
    frames = sample()
    assert list(mode_scans(frames.subset(range(23)))) == []
    bare = Frames(tuple(frame.relabelled(forces=None) for frame in frames))
    assert list(mode_scans(bare)) == []
    cell, pbc = np.diag([9.0, 9.0, 9.0]), np.ones(3, dtype=bool)
    assert list(mode_scans(Frames(tuple(replace(f, cell=cell, pbc=pbc) for f in frames)))) == []
    other = replace(frames[0], atomic_numbers=NUMBERS[[1, 0, 2, 3]])
    assert list(mode_scans(Frames((*frames.frames, other)))) == []
