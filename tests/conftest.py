"""Fixtures of every room, and one thread per test process (set before torch is imported)."""

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENMM_CPU_THREADS"):
    os.environ[_name] = "1"

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fisher_mlip.config import DtypeName, ModelConfig
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.testing import ethanol, morse_energy_and_forces

if TYPE_CHECKING:
    from fisher_mlip.export import Artefact
    from fisher_mlip.model import Checkpoint

    MakeCheckpoint = Callable[[Frames, int], Checkpoint]

REFERENCE_ENERGIES = {1: -13.6, 6: -1030.0, 8: -2042.0}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of rMD17 ethanol: train.xyz, test_MD.xyz, isolated_atoms.xyz."""
    beside = Path(__file__).parents[1].parent / "shared" / "data"
    root = Path(os.environ.get("FISHER_MLIP_TEST_DATA", beside))
    folder = root / "rmd17_ethanol"
    if not folder.is_dir():
        pytest.skip(f"real data: no '{folder}' (set FISHER_MLIP_TEST_DATA to its parent)")
    return folder


@pytest.fixture(scope="session")
def ethanol_frames() -> Frames:
    """Twelve perturbed ethanols with energies (with E0s) and forces of a Morse pair potential."""
    numbers, positions = ethanol()
    generator = np.random.default_rng(0)
    offset = sum(REFERENCE_ENERGIES[int(number)] for number in numbers)
    frames = []
    for _ in range(12):
        moved = positions + generator.normal(0.0, 0.05, positions.shape)
        energy, forces = morse_energy_and_forces(numbers, moved)
        frames.append(Frame(numbers, moved, energy=energy + offset, forces=forces))
    return Frames(tuple(frames), dict(REFERENCE_ENERGIES), source="Morse ethanol")


@pytest.fixture(scope="session")
def untrained() -> "MakeCheckpoint":
    """Makes a small random float64 model of frames' elements, with so many features."""
    import torch

    from fisher_mlip.model import Checkpoint, CheckpointConfig, new_network

    def make(frames: Frames, features: int) -> "Checkpoint":
        torch.manual_seed(0)
        small = {"num_iterations": 2, "num_basis_functions": 8, "radial_width": 8}
        config = CheckpointConfig(
            model=ModelConfig(features=features, max_degree=1, **small),
            elements=frames.elements,
            reference_energies=frames.reference_energies,
            dtype="float64",
        )
        network = new_network(config)
        network.message_scale.fill_(0.35)
        return Checkpoint(network.eval(), config)

    return make


@pytest.fixture(scope="session")
def operators() -> None:
    """The fused operators, compiled if need be; skips where nothing can."""
    from fisher_mlip.building import BuildError, find_compiler
    from fisher_mlip.fused.loading import why_no_operators

    try:
        find_compiler()
    except BuildError as failure:
        pytest.skip(str(failure))
    assert why_no_operators(build=True) == ""
    # Asked for without compiling before there were any, the answer was kept.
    why_no_operators.cache_clear()


@pytest.fixture(scope="session")
def fitted_checkpoint(ethanol_frames: Frames, untrained: "MakeCheckpoint") -> "Checkpoint":
    """A small float64 model whose readout is solved for on `ethanol_frames`: it holds ethanol."""
    from fisher_mlip.fisher import Options, finetune

    part = ethanol_frames.subset(range(9)), ethanol_frames.subset(range(9, 12))
    options = Options(kinds=("last-layer",), look_outside=False)
    return finetune(untrained(ethanol_frames, 16), *part, options=options).checkpoint


@pytest.fixture(scope="session", params=["float64", "float32"])
def exported(
    request: pytest.FixtureRequest,
    fitted_checkpoint: "Checkpoint",
    tmp_path_factory: pytest.TempPathFactory,
) -> "Artefact":
    """The fitted model as an artefact, in each dtype."""
    from fisher_mlip.export import write_artefact

    dtype: DtypeName = request.param
    return write_artefact(tmp_path_factory.mktemp(dtype), fitted_checkpoint, dtype)


@pytest.fixture(scope="session")
def checkpoint() -> "Checkpoint":
    """A random network, as small as they come: quick to script, smooth and conservative."""
    import torch

    from fisher_mlip.model import Checkpoint, CheckpointConfig, new_network

    torch.manual_seed(0)
    config = CheckpointConfig(
        model=ModelConfig(
            features=4, max_degree=1, num_iterations=1, num_basis_functions=6, radial_width=4
        ),
        elements=[1, 6, 8],
        reference_energies={1: -13.6, 6: -1030.0, 8: -2042.0},
        dtype="float64",
    )
    return Checkpoint(new_network(config).eval(), config)


@pytest.fixture(scope="session")
def artefact(checkpoint: "Checkpoint", tmp_path_factory: pytest.TempPathFactory) -> "Artefact":
    """The random network as an artefact."""
    from fisher_mlip.export import write_artefact

    return write_artefact(tmp_path_factory.mktemp("model"), checkpoint, "float64")


@pytest.fixture(scope="session", params=["float64", "float32"])
def fused(
    request: pytest.FixtureRequest,
    checkpoint: "Checkpoint",
    tmp_path_factory: pytest.TempPathFactory,
) -> "Artefact":
    """The random network as an artefact that the fused operators serve, in each dtype."""
    from fisher_mlip.export import write_artefact
    from fisher_mlip.export.fusing import why_not_fused

    dtype: DtypeName = request.param
    made = write_artefact(tmp_path_factory.mktemp(f"fused-{dtype}"), checkpoint, dtype)
    why_not = why_not_fused(made.manifest)
    if "expected a C++ compiler" in why_not:
        pytest.skip(why_not)
    assert why_not == ""
    return made


@pytest.fixture(scope="session")
def headed(
    checkpoint: "Checkpoint", tmp_path_factory: pytest.TempPathFactory
) -> "tuple[Checkpoint, Artefact]":
    """The random network with a head and sampled heads, eager and as an artefact."""
    import torch

    from fisher_mlip.config import HeadConfig
    from fisher_mlip.export import write_artefact
    from fisher_mlip.model import Checkpoint, new_network

    config = checkpoint.config.model_copy(
        update={"head": HeadConfig(kind="per-element"), "sampled_heads": 4}
    )
    torch.manual_seed(2)
    network = new_network(config).eval()
    network.load_state_dict(checkpoint.network.state_dict(), strict=False)
    assert network.head is not None
    assert network.samples is not None
    network.head.theta.data = 0.3 * torch.randn_like(network.head.theta)
    network.samples.theta_samples.copy_(torch.randn_like(network.samples.theta_samples))
    made = Checkpoint(network, config)
    return made, write_artefact(tmp_path_factory.mktemp("headed"), made, "float64")
