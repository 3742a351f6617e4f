"""Two models whose runs start alike, and short runs of them."""

import copy
from pathlib import Path

import pytest

from fisher_mlip.config import SimulateConfig
from fisher_mlip.export import Artefact, write_artefact
from fisher_mlip.model import Checkpoint


@pytest.fixture(scope="session")
def stiffer(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """The random network with energies that are larger, so that the same step is longer."""
    network = copy.deepcopy(checkpoint.network)
    network.energy_scale.mul_(4.0)
    folder = tmp_path_factory.mktemp("models") / "stiffer"
    folder.mkdir()
    return write_artefact(folder, Checkpoint(network, checkpoint.config), "float64")


def gas_config(model: Path, steps: int = 20) -> SimulateConfig:
    return SimulateConfig(
        model=str(model),
        temperature=300.0,
        timestep=0.5,
        steps=steps,
        report_interval=2,
        trajectory_interval=4,
        checkpoint_interval=10,
        platform="Reference",
        route="torchforce",
    )
