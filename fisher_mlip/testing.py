"""Checks of potentials, for this project's tests and for its users'.

Positions (n, 3) in Å, energies in eV, forces (n, 3) in eV/Å. A check raises AssertionError with
the figures.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
EnergyFunction = Callable[[FloatArray], float]
EnergyAndForces = Callable[[FloatArray], tuple[float, FloatArray]]

# Å, covalent radii (Cordero et al. 2008).
_RADII = {1: 0.31, 6: 0.76, 7: 0.71, 8: 0.66}
_MORSE_DEPTH = 2.0  # eV
_MORSE_WIDTH = 1.5  # 1/Å


def random_rotation(seed: int) -> FloatArray:
    """Return a proper rotation matrix (3, 3), uniform over rotations.

    Source: Mezzadri 2007, "How to generate random matrices from the classical compact groups":
    QR of a Gaussian matrix with the signs of R's diagonal moved into Q.
    """
    gaussian = np.random.default_rng(seed).normal(size=(3, 3))
    orthogonal, triangular = np.linalg.qr(gaussian)
    orthogonal = orthogonal * np.sign(np.diag(triangular))
    orthogonal[:, 0] *= np.linalg.det(orthogonal)
    return np.asarray(orthogonal, dtype=np.float64)


def ethanol() -> tuple[IntArray, FloatArray]:
    """Return atomic numbers (9,) and positions (9, 3) in Å of trans ethanol.

    The order is that of (r)MD17: C of CH2, C of CH3, O, two H of CH2, three of CH3, H of OH.
    """
    numbers = np.array([6, 6, 8, 1, 1, 1, 1, 1, 1])
    positions = [
        [0.0873, 0.5573, 0.0000],
        [-1.2129, -0.2295, 0.0000],
        [1.1663, -0.3811, 0.0000],
        [0.1360, 1.2019, 0.8867],
        [0.1360, 1.2019, -0.8867],
        [-1.2823, -0.8626, 0.8874],
        [-1.2823, -0.8626, -0.8874],
        [-2.0690, 0.4506, 0.0000],
        [1.9857, 0.1185, 0.0000],
    ]
    return numbers, np.array(positions)


def low_symmetry_molecule() -> tuple[IntArray, FloatArray]:
    """Return a CHNO molecule without any symmetry: numbers (7,), positions (7, 3) in Å.

    Symmetric molecules hide equivariance errors: what is wrong cancels among equal atoms.
    """
    numbers = np.array([6, 7, 8, 6, 1, 1, 1])
    positions = [
        [0.00, 0.00, 0.00],
        [1.38, 0.12, 0.21],
        [-0.51, 1.02, -0.62],
        [2.05, -0.55, 1.31],
        [-0.47, -0.88, -0.42],
        [1.83, 0.85, -0.38],
        [3.04, -0.20, 1.55],
    ]
    return numbers, np.array(positions)


def morse_energy_and_forces(
    atomic_numbers: IntArray, positions: FloatArray
) -> tuple[float, FloatArray]:
    """Return energy and forces of Morse pairs: a smooth reference that costs nothing.

    Every pair of atoms is bound at the sum of its covalent radii (H, C, N, O): no chemistry, but
    a potential with exact forces to learn from.

    Returns:
        The energy in eV, zero for atoms far apart, and the forces in eV/Å.

    Source: Morse 1929: U = Σ D [(1 - e^(-a (r - r0)))² - 1].
    """
    radii = np.array([_RADII[int(number)] for number in atomic_numbers])
    first, second = np.triu_indices(len(positions), k=1)
    vectors = positions[second] - positions[first]
    distances = np.linalg.norm(vectors, axis=1)
    decay = np.exp(-_MORSE_WIDTH * (distances - radii[first] - radii[second]))
    energy = float((_MORSE_DEPTH * ((1.0 - decay) ** 2 - 1.0)).sum())
    slope = 2.0 * _MORSE_DEPTH * _MORSE_WIDTH * (1.0 - decay) * decay
    pulls = (slope / distances)[:, None] * vectors
    forces = np.zeros_like(positions)
    np.add.at(forces, first, pulls)
    np.add.at(forces, second, -pulls)
    return energy, forces


def finite_difference_forces(
    energy: EnergyFunction, positions: FloatArray, step: float = 1e-3
) -> FloatArray:
    """Return -dE/dx (n, 3) in eV/Å by central differences of the given step in Å."""
    forces = np.zeros_like(positions)
    for index in np.ndindex(*positions.shape):
        shifted = np.zeros_like(positions)
        shifted[index] = step
        forces[index] = -(energy(positions + shifted) - energy(positions - shifted)) / (2.0 * step)
    return forces


def assert_forces_match_energy(
    energy_and_forces: EnergyAndForces,
    positions: FloatArray,
    *,
    step: float = 1e-3,
    tolerance: float = 1e-4,
) -> None:
    """Check that the forces are the energy's negative gradient.

    Args:
        energy_and_forces: positions in Å to energy in eV and forces in eV/Å.
        positions: (n, 3), Å.
        step: of the central differences, Å.
        tolerance: largest difference relative to the largest force component.

    Raises:
        AssertionError: they differ by more.
    """
    _, forces = energy_and_forces(positions)
    expected = finite_difference_forces(lambda x: energy_and_forces(x)[0], positions, step)
    _assert_close("forces and -dE/dx", forces, expected, tolerance)


def assert_equivariant(
    energy_and_forces: EnergyAndForces,
    positions: FloatArray,
    *,
    seed: int = 0,
    tolerance: float = 1e-6,
) -> None:
    """Check that energy and forces follow a rotation, an inversion and a translation.

    Args:
        energy_and_forces: positions in Å to energy in eV and forces in eV/Å.
        positions: (n, 3), Å, of a molecule without symmetry.
        seed: of the rotation and the translation.
        tolerance: largest difference relative to the largest component, and of the energy in eV.

    Raises:
        AssertionError: they do not.
    """
    energy, forces = energy_and_forces(positions)
    shift = np.random.default_rng(seed).normal(size=3)
    for parity in (1.0, -1.0):
        operation = parity * random_rotation(seed)
        turned_energy, turned_forces = energy_and_forces(positions @ operation.T + shift)
        if not abs(turned_energy - energy) <= tolerance:
            raise AssertionError(f"energy changes by {turned_energy - energy:.3e} eV when moved")
        _assert_close("moved forces", turned_forces, forces @ operation.T, tolerance)


def _assert_close(what: str, found: FloatArray, expected: FloatArray, tolerance: float) -> None:
    error, scale = np.abs(found - expected).max(), np.abs(expected).max()
    if not error <= tolerance * scale:
        raise AssertionError(
            f"{what} differ by {error:.3e} eV/Å, more than {tolerance:.0e} x {scale:.3e} eV/Å"
        )
