"""The repulsive core as part of the network and of its checkpoint."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from fisher_mlip.config import ModelConfig
from fisher_mlip.data.frames import Frame
from fisher_mlip.errors import InputError
from fisher_mlip.model import (
    Checkpoint,
    CheckpointConfig,
    build_graph,
    evaluate,
    load_checkpoint,
    new_network,
    save_checkpoint,
)
from fisher_mlip.model.potential import network_inputs
from fisher_mlip.testing import ethanol

SQUEEZED = Frame(ethanol()[0], 0.7 * ethanol()[1])


def untrained(*, repulsion: bool) -> Checkpoint:
    torch.manual_seed(0)
    config = CheckpointConfig(
        model=ModelConfig(
            features=4,
            max_degree=1,
            num_iterations=2,
            num_basis_functions=4,
            radial_width=4,
            repulsion=repulsion,
        ),
        elements=[1, 6, 8],
        reference_energies={1: 0.0, 6: 0.0, 8: 0.0},
        dtype="float64",
    )
    return Checkpoint(new_network(config).eval(), config)


def inputs(checkpoint: Checkpoint) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    graph = build_graph(SQUEEZED, [1, 6, 8], 3.0)
    return network_inputs(checkpoint.network, graph, graph.positions, graph.cells)


def energy(checkpoint: Checkpoint) -> float:
    graph = build_graph(SQUEEZED, [1, 6, 8], 3.0)
    return float(evaluate(checkpoint.network, graph).energies[0])


def test_the_core_adds_to_energies_and_not_to_features() -> None:
    bare, cored = untrained(repulsion=False), untrained(repulsion=True)
    assert cored.network.repulsion is not None
    core = cored.network.repulsion(*inputs(cored))
    assert float(core.sum()) > 1.0
    assert torch.allclose(cored.network(*inputs(cored)) - bare.network(*inputs(bare)), core)
    features = [each.network.last_layer_features(*inputs(each)) for each in (bare, cored)]
    assert torch.equal(*features)


def test_nothing_trains_it_and_no_file_holds_it(tmp_path: Path) -> None:
    checkpoint = untrained(repulsion=True)
    assert not [name for name, _ in checkpoint.network.named_parameters() if "repulsion" in name]
    save_checkpoint(tmp_path, checkpoint)
    assert not [name for name in load_file(tmp_path / "weights.safetensors") if "repulsion" in name]
    assert energy(load_checkpoint(tmp_path)) == energy(checkpoint)


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    """A checkpoint from before the key existed: neither of its files names it."""
    save_checkpoint(tmp_path, untrained(repulsion=False))
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    del config["model"]["repulsion"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    path = tmp_path / "weights.safetensors"
    with safe_open(path, framework="pt") as file:
        meaning = json.loads(file.metadata()["meaning"])
    del meaning["repulsion"]
    save_file(load_file(path), path, metadata={"meaning": json.dumps(meaning)})
    return tmp_path


def test_checkpoints_from_before_the_key_have_no_core(old_folder: Path) -> None:
    loaded = load_checkpoint(old_folder)
    assert loaded.config.model.repulsion is False
    assert loaded.network.repulsion is None
    assert energy(loaded) == energy(untrained(repulsion=False)) != energy(untrained(repulsion=True))


def test_a_core_is_not_put_under_weights_trained_without(old_folder: Path) -> None:
    config = yaml.safe_load((old_folder / "config.yaml").read_text())
    config["model"]["repulsion"] = True
    (old_folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match="trained with repulsion False, found True"):
        load_checkpoint(old_folder)
