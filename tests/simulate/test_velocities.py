"""Starting velocities have the temperature and no momentum."""

import numpy as np
import pytest

from fisher_mlip.simulate.velocities import half_step_back, maxwell_boltzmann
from fisher_mlip.units import BOLTZMANN_KJ_PER_MOL_K

MASSES = np.tile([12.011, 12.011, 15.999, *[1.008] * 6], 2000)
GROUPS = np.repeat(np.arange(2000), 9)


def _assert_thermal(velocities: np.ndarray, temperature: float) -> None:
    """Check temperature over 3N - 3 per molecule, and each molecule's momentum."""
    kinetic = 0.5 * (MASSES[:, None] * velocities**2).sum()
    measured = 2 * kinetic / (2000 * 24) / BOLTZMANN_KJ_PER_MOL_K
    assert measured == pytest.approx(temperature, rel=0.03)
    momenta = (MASSES[:, None] * velocities).reshape(2000, 9, 3).sum(axis=1)
    np.testing.assert_allclose(momenta, 0.0, atol=1e-10)


def test_velocities_of_molecules() -> None:
    velocities = maxwell_boltzmann(MASSES, 500.0, GROUPS, seed=3)
    _assert_thermal(velocities, 500.0)
    with pytest.raises(AssertionError):
        _assert_thermal(velocities * 1.05, 500.0)
    with pytest.raises(AssertionError):
        _assert_thermal(velocities + 1e-6, 500.0)


def test_seeds_differ_and_repeat() -> None:
    first, again, other = (maxwell_boltzmann(MASSES, 500.0, GROUPS, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_half_step_back() -> None:
    back = half_step_back(np.array([[1.0, 0, 0]]), np.array([[4.0, 0, 8.0]]), np.array([2.0]), 0.1)
    np.testing.assert_allclose(back, [[0.9, 0.0, -0.2]])
