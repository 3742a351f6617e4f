"""A liquid on a grid, and what the tests of `simulate` and of LAMMPS have."""

from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.bench import timing
from fisher_mlip.data import Frame, Frames, write_frames
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions
from tests.lammps.conftest import in_float64, liquid, plugin, two_layers
from tests.simulate.conftest import exploding

__all__ = ["exploding", "in_float64", "liquid", "plugin", "two_layers"]


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement of a few calls: no test looks at the clock."""
    monkeypatch.setattr(timing, "BUDGET_S", 0.05)


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighteen ethanols on a grid in a periodic box."""
    grid = np.indices((3, 3, 2)).reshape(3, -1).T * 6.0
    positions = (ethanol_positions()[None] + grid[:, None]).reshape(-1, 3)
    path = tmp_path_factory.mktemp("box") / "box.xyz"
    numbers = np.tile(ATOMIC_NUMBERS, len(grid))
    frame = Frame(numbers, positions, np.diag([18.0, 18.0, 12.0]), np.ones(3, dtype=bool))
    write_frames(path, Frames((frame,)))
    return path
