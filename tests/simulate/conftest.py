"""A float64 potential, one that explodes, and short runs of them."""

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data import Frame, Frames, write_frames
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions
from fisher_mlip.export import Artefact, write_artefact
from fisher_mlip.model import Checkpoint

MakeConfig = Callable[..., SimulateConfig]


@pytest.fixture(scope="session")
def exploding(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """A potential with forces so large that the kinetic energy overflows within a few steps."""
    network = copy.deepcopy(checkpoint.network)
    network.energy_scale.fill_(1e160)
    exploding = Checkpoint(network, checkpoint.config)
    return write_artefact(tmp_path_factory.mktemp("exploding"), exploding, "float64")


def short_config(artefact: Artefact, **values: Any) -> SimulateConfig:
    """Return the configuration of a short run of two molecules, with given values changed."""
    chosen: dict[str, Any] = {
        **{"model": str(artefact.path), "molecules": 2, "temperature": 300.0},
        **{"timestep": 0.5, "steps": 12, "report_interval": 2, "trajectory_interval": 3},
        **{"checkpoint_interval": 5, "platform": "Reference"},
    }
    return SimulateConfig(**(chosen | values))


@pytest.fixture
def short(artefact: Artefact) -> MakeConfig:
    """Configurations of short runs, with given values changed."""
    return functools.partial(short_config, artefact)


@pytest.fixture(scope="session")
def ethanol_box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight ethanols on a grid in a periodic box that is a little triclinic."""
    grid = np.indices((2, 2, 2)).reshape(3, -1).T * 6.0
    positions = (ethanol_positions()[None] + grid[:, None]).reshape(-1, 3)
    cell = np.array([[12.0, 0.0, 0.0], [1.0, 12.0, 0.0], [0.0, 0.5, 12.0]])
    path = tmp_path_factory.mktemp("box") / "box.xyz"
    numbers = np.tile(ATOMIC_NUMBERS, 8)
    write_frames(path, Frames((Frame(numbers, positions, cell, np.ones(3, dtype=bool)),)))
    return path


def read_rows(path: Path) -> np.ndarray:
    """Return the rows of a ledger."""
    lines = path.read_text().splitlines()[1:]
    return np.array([[float(value) for value in line.split(",")] for line in lines])
