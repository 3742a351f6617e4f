"""The frames' own vibrations, followed beyond the largest amplitude seen."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from ase.data import atomic_masses

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.fisher.outside.scan import PART, Scan

# A mode is a vibration where force and amplitude go together; torsions and rotations do not.
CORRELATION = 0.6
FURTHEST = 2.5
N_POINTS = 9
MAX_FRAMES = 500


def mode_scans(frames: Frames) -> Iterator[Scan]:
    """Yield scans both ways along each vibration of frames of one molecule.

    The modes are the principal components of the aligned, mass-weighted frames; the stiffness is
    that of the forces, -<F_q q> / <q^2>. Nothing is yielded of periodic frames, of frames of
    different molecules, without forces, or of too few frames.
    """
    first = frames[0]
    n_coordinates = 3 * first.n_atoms
    same = all(np.array_equal(frame.atomic_numbers, first.atomic_numbers) for frame in frames)
    if not same or first.is_periodic or len(frames) < 2 * n_coordinates:
        return
    chosen = frames.subset(range(min(len(frames), MAX_FRAMES)))
    if any(frame.forces is None for frame in chosen):
        return
    positions, forces = _aligned(chosen)
    root_mass = np.repeat(np.sqrt(atomic_masses[first.atomic_numbers]), 3)
    amplitudes = (positions - positions.mean(axis=0)) * root_mass
    values, vectors = np.linalg.eigh(amplitudes.T @ amplitudes / len(amplitudes))
    start = int(np.square(amplitudes).sum(axis=1).argmin())
    for mode in np.flatnonzero(values > 1e-6 * values[-1]):
        q = amplitudes @ vectors[:, mode]
        force = (forces / root_mass) @ vectors[:, mode]
        if np.corrcoef(q, -force)[0, 1] < CORRELATION:
            continue
        stiffness = -float(force @ q) / float(q @ q)
        direction = vectors[:, mode] / root_mass
        for sign in (1.0, -1.0):
            edge = float(np.max(sign * q))
            q_points = sign * np.linspace(edge, FURTHEST * edge, N_POINTS)
            moved = positions[start] + np.outer(q_points - q[start], direction)
            yield Scan(
                "mode",
                f"{mode}{'+' if sign > 0 else '-'}",
                tuple(_placed(first, x) for x in moved),
                np.abs(q_points - q_points[0]) * float(np.linalg.norm(direction)),
                PART * 0.5 * stiffness * np.diff(q_points**2),
            )


def _placed(frame: Frame, positions: FloatArray) -> Frame:
    shaped = positions.reshape(-1, 3)
    return replace(frame, positions=shaped, energy=None, forces=None, stress=None)


def _aligned(frames: Frames) -> tuple[FloatArray, FloatArray]:
    """Return positions and forces (n_frames, 3 n_atoms), rotated onto the first frame.

    Source: Kabsch, Acta Cryst. A 32, 922 (1976), with masses as weights.
    """
    masses = atomic_masses[frames[0].atomic_numbers][:, None]
    target = frames[0].positions - (masses * frames[0].positions).sum(axis=0) / masses.sum()
    positions, forces = [], []
    for frame in frames:
        x = frame.positions - (masses * frame.positions).sum(axis=0) / masses.sum()
        u, _, v = np.linalg.svd((masses * x).T @ target)
        flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
        rotation = u @ flip @ v
        assert frame.forces is not None
        positions.append((x @ rotation).ravel())
        forces.append((frame.forces @ rotation).ravel())
    return np.array(positions), np.array(forces)
