"""A model of two layers with sampled heads for LAMMPS, and a tilted box of liquid ethanol."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fisher_mlip.config import DtypeName, HeadConfig
from fisher_mlip.data import equilibrated_liquid
from fisher_mlip.data.frames import Frame

if TYPE_CHECKING:
    from fisher_mlip.export.lammps_artefact import LammpsArtefact
    from fisher_mlip.model import Checkpoint


@pytest.fixture(scope="session")
def two_layers(fitted_checkpoint: "Checkpoint") -> "Checkpoint":
    """The fitted model of two layers, with a head over every layer and sampled heads."""
    import torch

    from fisher_mlip.model import Checkpoint, new_network

    config = fitted_checkpoint.config.model_copy(
        update={"head": HeadConfig(kind="all-layers"), "sampled_heads": 3}
    )
    torch.manual_seed(3)
    network = new_network(config).eval()
    state = fitted_checkpoint.network.state_dict()
    learned = {name: value for name, value in state.items() if not name.startswith("samples")}
    network.load_state_dict(learned, strict=False)
    assert network.head is not None
    assert network.samples is not None
    network.head.theta.data = 0.003 * torch.randn_like(network.head.theta)
    network.samples.theta_samples.copy_(0.1 * torch.randn_like(network.samples.theta_samples))
    return Checkpoint(network, config)


@pytest.fixture(scope="session", params=["float64", "float32"])
def for_lammps(
    request: pytest.FixtureRequest,
    two_layers: "Checkpoint",
    tmp_path_factory: pytest.TempPathFactory,
) -> "LammpsArtefact":
    """That model as an artefact for LAMMPS, in each dtype."""
    from fisher_mlip.export.lammps_artefact import write_lammps_artefact

    dtype: DtypeName = request.param
    return write_lammps_artefact(tmp_path_factory.mktemp(f"lammps-{dtype}"), two_layers, dtype)


@pytest.fixture(scope="session")
def in_float64(
    two_layers: "Checkpoint", tmp_path_factory: pytest.TempPathFactory
) -> "LammpsArtefact":
    """That model in float64."""
    from fisher_mlip.export.lammps_artefact import write_lammps_artefact

    return write_lammps_artefact(tmp_path_factory.mktemp("lammps"), two_layers, "float64")


@pytest.fixture(scope="session")
def liquid() -> Frame:
    """Sixteen molecules of liquid ethanol."""
    return equilibrated_liquid(16, 300.0, seed=0)


@pytest.fixture(scope="session")
def tilted_liquid(liquid: Frame) -> Frame:
    """The same in a triclinic cell, some atoms a whole cell away."""
    length = float(liquid.cell[0, 0])
    cell = length * np.array([[1.0, 0.0, 0.0], [0.2, 1.0, 0.0], [-0.15, 0.3, 1.0]])
    scaled = liquid.positions @ np.linalg.inv(liquid.cell)
    moved = scaled + np.random.default_rng(0).integers(-1, 2, scaled.shape)
    return Frame(liquid.atomic_numbers, moved @ cell, cell, np.ones(3, dtype=bool))


@pytest.fixture(scope="session")
def plugin() -> Path:
    """The folder of the plugin."""
    from fisher_mlip.errors import InputError
    from fisher_mlip.lammps.launching import build_plugin

    try:
        return build_plugin()
    except InputError as failure:
        if "C++ compiler" in str(failure) or "the package" in str(failure):
            pytest.skip(str(failure))
        raise
