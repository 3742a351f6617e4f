"""Cells in the form that OpenMM takes, and other descriptions of the same crystal."""

import numpy as np

from fisher_mlip.data.frames import FloatArray, Frame


def to_openmm(cell: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the rotation into OpenMM's axes and the same lattice in its reduced form.

    Args:
        cell: (3, 3), Å, rows are vectors, of either handedness.

    Returns:
        `turn` (3, 3), a proper rotation: x_openmm = x @ turn.T; and the cell (3, 3) with its first
        vector along x, its second in the xy plane and no vector longer than it need be.

    Source: OpenMM user guide, "Periodic boundary conditions": a = (ax, 0, 0), b = (bx, by, 0),
        |bx| <= ax / 2, |cx| <= ax / 2, |cy| <= by / 2, diagonal positive.
    """
    right_handed = cell.copy()
    if np.linalg.det(cell) < 0:
        right_handed[2] *= -1.0  # -c spans the same lattice as c
    orthogonal, upper = np.linalg.qr(right_handed.T)
    signs = np.sign(np.diag(upper))
    turn = (orthogonal * signs).T
    reduced = np.tril((upper * signs[:, None]).T)
    a, b, c = reduced
    c -= b * np.round(c[1] / b[1])
    c -= a * np.round(c[0] / a[0])
    b -= a * np.round(b[0] / a[0])
    return turn, reduced


def another_basis(frame: Frame) -> Frame:
    """Return the same crystal with its cell's vectors in another order, one of them sheared.

    OpenMM's form of it has other vectors along other axes.
    """
    change = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    return frame.relabelled(cell=change @ frame.cell)


def wrapped(frame: Frame) -> Frame:
    """Return the frame with every atom inside the cell."""
    scaled = frame.positions @ np.linalg.inv(frame.cell)
    return frame.relabelled(positions=(scaled % 1.0) @ frame.cell)


def unwrapped(frame: Frame, seed: int) -> Frame:
    """Return the frame with its atoms moved by whole cell vectors, up to two of each."""
    whole = np.random.default_rng(seed).integers(-2, 3, (frame.n_atoms, 3))
    return frame.relabelled(positions=frame.positions + whole @ frame.cell)


def doubled(frame: Frame) -> Frame:
    """Return two cells along the first vector as one."""
    positions = np.concatenate([frame.positions, frame.positions + frame.cell[0]])
    cell = frame.cell * np.array([[2.0], [1.0], [1.0]])
    return Frame(np.tile(frame.atomic_numbers, 2), positions, cell, frame.pbc)
