"""Rotation, reflection, translation, exchange: what leaves an energy as it is."""

import numpy as np

from fisher_mlip.certificate.engine import Potential
from fisher_mlip.certificate.rows import Row, judged
from fisher_mlip.certificate.tolerances import Tolerances
from fisher_mlip.data.frames import FloatArray, Frame, IntArray
from fisher_mlip.testing import random_rotation

Result = tuple[float, FloatArray]


def same_rows(
    name: str, on: str, what: str, found: Result, expected: Result, tolerance: float
) -> list[Row]:
    """Return the rows that compare two evaluations which must be the same.

    Args:
        name: of the check.
        on: the frame.
        what: differs between the two.
        found: energy (eV) and forces (n_atoms, 3) in eV/Å.
        expected: likewise.
        tolerance: of forces below 1 eV/Å and of energies per atom below 1 eV; relative above.
    """
    n_atoms = len(expected[1])
    energy = abs(found[0] - expected[0]) / n_atoms
    forces = float(np.abs(found[1] - expected[1]).max())
    force_scale = max(1.0, float(np.abs(expected[1]).max()))
    energy_scale = max(1.0, abs(expected[0]) / n_atoms)
    return [
        judged(
            f"{name}: energy", on, f"change by {what}", energy, "eV/atom", tolerance * energy_scale
        ),
        judged(
            f"{name}: forces",
            on,
            f"largest change by {what}",
            forces,
            "eV/Å",
            tolerance * force_scale,
        ),
    ]


def symmetry_rows(
    potential: Potential, frame: Frame, on: str, allowed: Tolerances, seed: int
) -> list[Row]:
    """Check the symmetries of space, and the exchange of equal atoms.

    A periodic frame turns with its cell, which OpenMM takes in one orientation only: what is
    left to see there is the reflection.
    """
    energy, forces = potential(frame)
    rotation = random_rotation(seed)
    mirror = np.diag([1.0, 1.0, -1.0])
    shift = np.random.default_rng(seed).uniform(-7.0, 7.0, 3)
    rows: list[Row] = []
    operations = {} if frame.is_periodic else {"rotation": rotation}
    for name, matrix in (operations | {"reflection": mirror}).items():
        turned = frame.relabelled(positions=frame.positions @ matrix.T, cell=frame.cell @ matrix.T)
        expected = (energy, forces @ matrix.T)
        rows += same_rows(name, on, f"a {name}", potential(turned), expected, allowed.same)
    moved = frame.relabelled(positions=frame.positions + shift)
    rows += same_rows(
        "translation", on, "a shift of all atoms", potential(moved), (energy, forces), allowed.same
    )
    order = exchange(frame, seed)
    exchanged = frame.relabelled(positions=frame.positions[order])
    rows += same_rows(
        "exchange",
        on,
        "exchanging atoms of one element",
        potential(exchanged),
        (energy, forces[order]),
        allowed.same,
    )
    return rows


def reordering_rows(potential: Potential, frame: Frame, on: str, allowed: Tolerances) -> list[Row]:
    """Check that the order in which a topology lists its atoms does not matter."""
    energy, forces = potential(frame)
    order = np.arange(frame.n_atoms)[::-1]
    listed = frame.relabelled(
        atomic_numbers=frame.atomic_numbers[order], positions=frame.positions[order]
    )
    expected = (energy, forces[order])
    return same_rows(
        "permutation",
        on,
        "listing the atoms in another order",
        potential(listed),
        expected,
        allowed.same,
    )


def exchange(frame: Frame, seed: int) -> IntArray:
    """Return an order (n_atoms,) in which atoms of each element have changed places."""
    generator = np.random.default_rng(seed)
    order = np.arange(frame.n_atoms)
    for number in np.unique(frame.atomic_numbers):
        alike = np.flatnonzero(frame.atomic_numbers == number)
        order[alike] = np.roll(generator.permutation(alike), 1)
    return np.asarray(order, dtype=np.int64)
