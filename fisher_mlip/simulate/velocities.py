"""Starting velocities: Maxwell-Boltzmann, without the momenta that stay zero."""

import numpy as np

from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.units import BOLTZMANN_KJ_PER_MOL_K


def maxwell_boltzmann(
    masses: FloatArray, temperature: float, groups: IntArray, seed: int
) -> FloatArray:
    """Draw velocities at a temperature, the total momentum of each group being zero.

    Removing the momentum leaves every remaining degree of freedom with k_B T / 2: nothing is
    rescaled.

    Args:
        masses: (n_atoms,), amu.
        temperature: K.
        groups: (n_atoms,), index of each atom's group.
        seed: of the draw.

    Returns:
        (n_atoms, 3), nm/ps (kJ/mol = amu nm^2/ps^2).

    Source:
        p(v_i) ~ exp(-m_i v_i^2 / 2 k_B T); the sum m_i v_i is independent of v_i - v_center.
    """
    spread = np.sqrt(BOLTZMANN_KJ_PER_MOL_K * temperature / masses)
    drawn = np.random.default_rng([seed, 1]).normal(size=(len(masses), 3)) * spread[:, None]
    return drawn - _group_velocities(drawn, masses, groups)[groups]


def half_step_back(
    velocities: FloatArray, forces: FloatArray, masses: FloatArray, timestep_ps: float
) -> FloatArray:
    """Return the velocities half a step earlier, with which a leapfrog starts.

    Args:
        velocities: (n_atoms, 3), nm/ps, at the positions.
        forces: (n_atoms, 3), kJ/mol/nm.
        masses: (n_atoms,), amu.
        timestep_ps: ps.

    Returns:
        (n_atoms, 3), nm/ps.

    Source:
        v(-dt/2) = v(0) - F(0)/m dt/2: the leapfrog is then velocity Verlet, step by step.
    """
    return velocities - 0.5 * timestep_ps * forces / masses[:, None]


def _group_velocities(velocities: FloatArray, masses: FloatArray, groups: IntArray) -> FloatArray:
    """Return the velocity of each group's center of mass, (n_groups, 3)."""
    momenta = [np.bincount(groups, weights=masses * velocities[:, axis]) for axis in range(3)]
    return np.stack(momenta, axis=1) / np.bincount(groups, weights=masses)[:, None]
