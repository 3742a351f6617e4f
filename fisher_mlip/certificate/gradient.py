"""Are the forces the energy's gradient, and their Jacobian symmetric?"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np

from fisher_mlip.certificate.engine import Potential
from fisher_mlip.certificate.rows import Row, judged
from fisher_mlip.certificate.tolerances import Tolerances
from fisher_mlip.data.frames import FloatArray, Frame

Value = TypeVar("Value", float, FloatArray)

# Every coordinate of a frame of so many atoms is displaced; larger ones along random directions.
MOST_ATOMS = 16
DIRECTIONS = 4


def derivative(function: Callable[[float], Value], step: float) -> Value:
    """Return f'(0) by central differences of fourth order: error step^4 f^(5) / 30.

    Source: Fornberg 1988, table 1: [8 (f1 - f-1) - (f2 - f-2)] / 12 h.
    """
    near = function(step) - function(-step)
    far = function(2.0 * step) - function(-2.0 * step)
    return (8.0 * near - far) / (12.0 * step)


def gradient_rows(
    potential: Potential,
    frame: Frame,
    on: str,
    allowed: Tolerances,
    seed: int,
    *,
    whole: bool = True,
) -> list[Row]:
    """Check forces against differences of the energy and, on small frames, the asymmetry.

    Args:
        potential: under test.
        frame: where.
        on: its name.
        allowed: tolerances.
        seed: of random directions.
        whole: whether every coordinate of a small frame is displaced.

    Source: Bigi, Langer, Ceriotti, "The dark side of the forces", 2025:
        lambda = ||J - J^T||_F / (2 ||J||_F), J = dF/dx; 0 for forces with a potential.
    """
    _, forces = potential(frame)
    scale = max(1.0, float(np.abs(forces).max()))
    if frame.n_atoms > MOST_ATOMS or not whole:
        difference = _along_directions(potential, frame, forces, allowed.step, seed)
        return [_gradient_row(on, difference, allowed.gradient * scale, "random directions")]
    columns = [
        derivative(partial(_response, potential, frame, k), allowed.step)
        for k in range(3 * frame.n_atoms)
    ]
    gradient = np.array([column[0] for column in columns]).reshape(-1, 3)
    jacobian = np.array([column[1:] for column in columns]).T
    difference = float(np.abs(forces + gradient).max())
    return [
        _gradient_row(on, difference, allowed.gradient * scale, "every coordinate"),
        judged(
            "jacobian asymmetry",
            on,
            "norm of the antisymmetric part of dF/dx over that of dF/dx",
            asymmetry(jacobian),
            "relative",
            allowed.asymmetry,
        ),
    ]


def asymmetry(jacobian: FloatArray) -> float:
    """Return ||J_anti||_F / ||J||_F of (3n, 3n); 0 for no forces at all."""
    whole = float(np.linalg.norm(jacobian))
    part = float(np.linalg.norm(jacobian - jacobian.T)) / 2.0
    return part / whole if whole != 0.0 else 0.0


def _gradient_row(on: str, difference: float, tolerance: float, how: str) -> Row:
    measured = f"largest difference of forces and -dE/dx along {how}"
    return judged("gradient", on, measured, difference, "eV/Å", tolerance)


def _response(potential: Potential, frame: Frame, coordinate: int, step: float) -> FloatArray:
    """Return the energy and the forces with one coordinate displaced, (1 + 3 n_atoms,)."""
    positions = frame.positions.copy()
    positions.flat[coordinate] += step
    energy, forces = potential(frame.relabelled(positions=positions))
    return np.concatenate([[energy], forces.ravel()])


def _along_directions(
    potential: Potential, frame: Frame, forces: FloatArray, step: float, seed: int
) -> float:
    """Return the largest error of F.v, v random with one component of unit size an atom.

    All atoms move at once: an error of one atom's force is not diluted, those of many add up.
    """
    generator = np.random.default_rng(seed)
    largest = 0.0
    for _ in range(DIRECTIONS):
        move = generator.normal(size=frame.positions.shape)
        move /= np.linalg.norm(move, axis=1, keepdims=True)

        def energy(h: float, move: FloatArray = move) -> float:
            return potential(frame.relabelled(positions=frame.positions + h * move))[0]

        error = derivative(energy, step) + float((forces * move).sum())
        # Independent errors of n atoms add up to sqrt(n).
        largest = float(np.max([largest, abs(error) / np.sqrt(frame.n_atoms)]))
    return largest
