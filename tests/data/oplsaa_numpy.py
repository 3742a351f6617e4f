"""OPLS-AA ethanol in plain numpy, from the paper's tables in kcal/mol and Å: the second opinion.

Bonds, angles, torsions and 1-4 pairs are found from the bond list by counting bonds; nothing is
shared with the package but the numbers of the paper.
"""

import itertools
from math import cos, radians, sqrt

import numpy as np
import numpy.typing as npt

EV_PER_KCAL = 4184.0 / 96485.33212331
COULOMB = 332.06371329919216  # kcal Å / mol / e^2

CLASSES = ("CT", "CT", "OH", "HC", "HC", "HC", "HC", "HC", "HO")
BONDS = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (1, 6), (1, 7), (2, 8))
CHARGES = (0.145, -0.18, -0.683, 0.06, 0.06, 0.06, 0.06, 0.06, 0.418)
LENNARD_JONES = {"CT": (3.5, 0.066), "HC": (2.5, 0.03), "OH": (3.12, 0.17), "HO": (1.0, 0.0)}
BOND = {
    ("CT", "CT"): (268.0, 1.529),
    ("CT", "HC"): (340.0, 1.09),
    ("CT", "OH"): (320.0, 1.41),
    ("HO", "OH"): (553.0, 0.945),
}
ANGLE = {
    ("HC", "CT", "HC"): (33.0, 107.8),
    ("CT", "CT", "HC"): (37.5, 110.7),
    ("CT", "CT", "OH"): (50.0, 109.5),
    ("HC", "CT", "OH"): (35.0, 109.5),
    ("CT", "OH", "HO"): (55.0, 108.5),
}
TORSION = {
    ("HC", "CT", "CT", "HC"): (0.0, 0.0, 0.318),
    ("HC", "CT", "CT", "OH"): (0.0, 0.0, 0.468),
    ("CT", "CT", "OH", "HO"): (-0.356, -0.174, 0.492),
    ("HC", "CT", "OH", "HO"): (0.0, 0.0, 0.45),
}

Array = npt.NDArray[np.float64]


def molecule_energy(positions: Array) -> float:
    """Energy of one molecule, eV."""
    separation = _separations()
    energy = sum(_bond(positions, i, j) for i, j in BONDS)
    for j in range(9):
        around = [i for i in range(9) if separation[i, j] == 1]
        energy += sum(_angle(positions, i, j, k) for i, k in itertools.combinations(around, 2))
    for j, k in BONDS:
        for i, m in itertools.product(range(9), repeat=2):
            if separation[i, j] == 1 and separation[m, k] == 1 and i != k and m != j:
                energy += _torsion(positions, i, j, k, m)
    for i, j in itertools.combinations(range(9), 2):
        scale = {1: 0.0, 2: 0.0, 3: 0.5}.get(int(separation[i, j]), 1.0)
        energy += scale * _pair(float(np.linalg.norm(positions[i] - positions[j])), i, j)
    return energy * EV_PER_KCAL


def pair_energy(first: Array, second: Array) -> float:
    """Energy between two molecules, eV."""
    pairs = itertools.product(range(9), repeat=2)
    return EV_PER_KCAL * sum(
        _pair(float(np.linalg.norm(first[i] - second[j])), i, j) for i, j in pairs
    )


def _separations() -> npt.NDArray[np.int64]:
    steps = np.where(np.eye(9, dtype=bool), 0, 99)
    for i, j in BONDS:
        steps[i, j] = steps[j, i] = 1
    for k in range(9):
        steps = np.minimum(steps, steps[:, k : k + 1] + steps[k : k + 1, :])
    return steps


def _bond(x: Array, i: int, j: int) -> float:
    first, second = sorted((CLASSES[i], CLASSES[j]))
    constant, length = BOND[first, second]
    return constant * (float(np.linalg.norm(x[i] - x[j])) - length) ** 2


def _angle(x: Array, i: int, j: int, k: int) -> float:
    a, b = x[i] - x[j], x[k] - x[j]
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    names = (CLASSES[i], CLASSES[j], CLASSES[k])
    constant, equilibrium = ANGLE[names if names in ANGLE else names[::-1]]
    return float(constant * (angle - radians(equilibrium)) ** 2)


def _torsion(x: Array, i: int, j: int, k: int, m: int) -> float:
    middle = (x[k] - x[j]) / np.linalg.norm(x[k] - x[j])
    a = x[i] - x[j] - middle * ((x[i] - x[j]) @ middle)
    b = x[m] - x[k] - middle * ((x[m] - x[k]) @ middle)
    angle = float(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))
    names = (CLASSES[i], CLASSES[j], CLASSES[k], CLASSES[m])
    v1, v2, v3 = TORSION[names if names in TORSION else names[::-1]]
    fourier = v1 * (1 + cos(angle)) + v2 * (1 - cos(2 * angle)) + v3 * (1 + cos(3 * angle))
    return fourier / 2


def _pair(distance: float, i: int, j: int) -> float:
    (sigma1, epsilon1), (sigma2, epsilon2) = LENNARD_JONES[CLASSES[i]], LENNARD_JONES[CLASSES[j]]
    sixth = (sqrt(sigma1 * sigma2) / distance) ** 6
    lennard_jones = 4 * sqrt(epsilon1 * epsilon2) * (sixth**2 - sixth)
    return lennard_jones + COULOMB * CHARGES[i] * CHARGES[j] / distance
