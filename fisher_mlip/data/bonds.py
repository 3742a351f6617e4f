"""Bonds from distances, where a file names none."""

import numpy as np
from ase.data import covalent_radii

from fisher_mlip.data.distances import neighbor_pairs
from fisher_mlip.data.frames import Frame, IntArray

# Bonds reach to this multiple of the sum of covalent radii.
BOND_REACH = 1.3
# From hydrogen to iodine; what is around metals comes and goes without a bond breaking.
_BONDING = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 32, 33, 34, 35, 52, 53)


def bonds_by_distance(frame: Frame) -> IntArray:
    """Return the pairs of nonmetal atoms closer than 1.3 times the sum of their covalent radii.

    Args:
        frame: any; bonds reach across periodic boundaries.

    Returns:
        (n_bonds, 2), each bond once, the lower index first.

    Source: covalent radii of B. Cordero et al., Dalton Trans. 2832 (2008), as in ASE.
    """
    radii = np.where(
        np.isin(frame.atomic_numbers, _BONDING), covalent_radii[frame.atomic_numbers], 0.0
    )
    if not radii.any():
        return np.zeros((0, 2), dtype=np.int64)
    first, second, distances = neighbor_pairs(frame, BOND_REACH * 2.0 * float(radii.max()))
    is_bond = (first < second) & (np.minimum(radii[first], radii[second]) > 0.0)
    is_bond &= distances < BOND_REACH * (radii[first] + radii[second])
    return np.unique(np.stack([first[is_bond], second[is_bond]], axis=1), axis=0)
