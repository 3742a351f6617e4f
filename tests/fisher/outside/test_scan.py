"""What counts as a hole, on energies made by hand and on potentials with and without one."""

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.fisher.outside.scan import DROP, ENOUGH, Scan

POINT = Frame(np.array([1]), np.zeros((1, 3)))


def scan(n_points: int) -> Scan:
    path = np.arange(n_points) * 0.1
    return Scan("stretch", "C0-H1", (POINT,) * n_points, path, np.full(n_points - 1, 0.05))


@pytest.mark.parametrize(
    ("energies", "barrier"),
    [
        ([0.0, 0.4, 0.8, 1.2], np.inf),  # rises
        ([0.0, 0.4, 0.8, 0.6], 0.8),  # comes down
        ([0.0, 0.4, 0.8, 0.8 - 0.9 * DROP], np.inf),  # not by enough
        ([5.0, 5.4, 4.0, 9.0], 0.4),  # relative to the start
        ([0.0, -1.0, -2.0, -3.0], 0.0),  # downhill at once
        ([0.0, 0.3, 0.1, 0.9], 0.3),  # rises again, but beyond the hole
        ([0.0, 0.5, 0.1, 0.9, 0.2], 0.5),  # the first of two
        ([0.0, 1.01 * ENOUGH, -5.0, 0.0], np.inf),  # too high to be reached
        ([0.0, 0.99 * ENOUGH, -5.0, 0.0], 0.99 * ENOUGH),
        ([0.0, np.nan, 1.0, 2.0], 0.0),
        ([0.0, np.inf, 1.0, 2.0], 0.0),
    ],
)
def test_barrier(energies: list[float], barrier: float) -> None:
    assert scan(len(energies)).barrier(np.array(energies)) == pytest.approx(barrier)


def test_intervals_are_reached_until_the_energy_has_climbed() -> None:
    energies = ENOUGH * np.array([0.0, 0.5, 0.3, 1.1, 0.2, 0.0])
    assert scan(6).reachable(energies).tolist() == [True, True, True, False, False]
    assert scan(6).reachable(energies - 100.0).tolist() == [True, True, True, False, False]


def morse(lengths: FloatArray, depth: float = 1.2) -> FloatArray:
    return np.asarray(depth * (1.0 - np.exp(-1.9 * (lengths - 1.1))) ** 2)


def test_a_morse_bond_has_no_hole_and_one_with_a_second_well_has() -> None:
    lengths = np.arange(1.1, 2.3, 0.08)
    holed = morse(lengths) - 2.0 * np.exp(-(((lengths - 2.0) / 0.2) ** 2))
    assert scan(len(lengths)).barrier(morse(lengths)) == np.inf
    found = scan(len(lengths)).barrier(holed)
    assert 0.3 < found < 1.2
    deeper = morse(lengths) - 4.0 * np.exp(-(((lengths - 2.0) / 0.3) ** 2))
    assert scan(len(lengths)).barrier(deeper) < found
