"""The checkpoint folder: round trip, and what is refused."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.spatial.transform import Rotation

from fisher_mlip.config import ModelConfig
from fisher_mlip.data.frames import Frame, Frames
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
from fisher_mlip.model.checkpoint import network_in
from fisher_mlip.model.graph import graph_of_frames
from fisher_mlip.model.network import EquivariantNetwork


@pytest.fixture
def folder(tmp_path: Path, fitted_checkpoint: Checkpoint) -> Path:
    save_checkpoint(tmp_path, fitted_checkpoint)
    return tmp_path


def test_round_trip_predicts_the_same(
    folder: Path, fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    graph = build_graph(ethanol_frames[0], [1, 6, 8], 3.0)
    again = load_checkpoint(folder)
    assert again.config == fitted_checkpoint.config
    assert torch.equal(
        evaluate(again.network, graph).forces, evaluate(fitted_checkpoint.network, graph).forces
    )


def test_folder_holds_no_pickle(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.yaml",
        "metrics.json",
        "weights.safetensors",
    ]


def test_truncated_weights_are_refused(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="no whole safetensors file"):
        load_checkpoint(folder)


def test_unknown_configuration_key_is_named(folder: Path) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["model"]["featurs"] = 16
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match=r"unknown key 'model\.featurs'"):
        load_checkpoint(folder)


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["model"]["features"] = 8
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match="trained with features 16, found 8"):
        load_checkpoint(folder)
    # Weights that do not say what they mean are judged by their shapes.
    weights = folder / "weights.safetensors"
    save_file(load_file(weights), weights)
    with pytest.raises(InputError, match="do not fit"):
        load_checkpoint(folder)


def test_nan_weights_are_refused(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights["readout"][0] = float("nan")
    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(InputError, match="finite weights"):
        load_checkpoint(folder)


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a checkpoint folder"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"elements": [1, 8, 6]}, "ascending atomic numbers"),
        ({"elements": [1, 6, 999]}, "ascending atomic numbers"),
        ({"reference_energies": {1: 0.0}}, "none has z=6"),
        ({"elements": [1, 6, 7], "reference_energies": {1: 0.0, 6: 0.0, 7: 0.0}}, "elements"),
        ({"dtype": "float32"}, "trained with dtype float64"),
    ],
)
def test_an_edited_configuration_is_refused(
    folder: Path, changes: dict[str, object], sentence: str
) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(config | changes))
    with pytest.raises(InputError, match=sentence):
        load_checkpoint(folder)


def test_another_cutoff_is_another_model(folder: Path) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["model"]["cutoff"] += 1.0
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match=r"trained with cutoff .*, found"):
        load_checkpoint(folder)


@pytest.fixture
def with_two_linear_maps(folder: Path, fitted_checkpoint: Checkpoint) -> Path:
    """A model as an earlier version wrote it: h + B silu(A h + a) + b is read out."""
    network = copy.deepcopy(fitted_checkpoint.network)
    network.samples = None
    config = fitted_checkpoint.config.model_copy(update={"sampled_heads": 0})
    save_checkpoint(folder, Checkpoint(network, config))
    weights = load_file(folder / "weights.safetensors")
    with safe_open(folder / "weights.safetensors", framework="pt") as file:
        metadata = file.metadata()
    own, hidden = weights["readout"].chunk(2)
    second = torch.linspace(-1.0, 1.0, 16 * 16, dtype=torch.float64).reshape(16, 16)
    second += own[:, None] * (hidden - own @ second) / own.square().sum()
    offset = torch.linspace(0.0, 0.5, 16, dtype=torch.float64)
    weights |= {"readout": own, "refine.2.weight": second, "refine.2.bias": offset}
    weights["shift"] -= weights["energy_scale"] * (own @ offset)
    meaning = json.loads(metadata["meaning"])
    del meaning["head"]["product_layers"]
    save_file(weights, folder / "weights.safetensors", {"meaning": json.dumps(meaning)})
    return folder


def test_two_linear_maps_of_an_earlier_version_become_one(
    with_two_linear_maps: Path, fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    again = load_checkpoint(with_two_linear_maps)
    graph = graph_of_frames(ethanol_frames, again.config.elements, again.network.cutoff)
    one, other = (evaluate(c.network, graph) for c in (again, fitted_checkpoint))
    torch.testing.assert_close(one.energies, other.energies, rtol=0.0, atol=1e-9)
    torch.testing.assert_close(one.forces, other.forces, rtol=0.0, atol=1e-9)


def test_a_head_over_two_linear_maps_is_refused(with_two_linear_maps: Path) -> None:
    config = yaml.safe_load((with_two_linear_maps / "config.yaml").read_text())
    config["head"] = {"kind": "per-element"}
    (with_two_linear_maps / "config.yaml").write_text(yaml.safe_dump(config))
    weights = with_two_linear_maps / "weights.safetensors"
    save_file(load_file(weights), weights)
    with pytest.raises(InputError, match="earlier version: finetune its pretrained model again"):
        load_checkpoint(with_two_linear_maps)


def _turned_by(network: EquivariantNetwork, frame: Frame) -> float:
    """Return how far the forces of a turned frame are from the turned forces, relative."""
    turn = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    found = [
        evaluate(network, build_graph(one, [1, 6, 8], network.cutoff)).forces.numpy()
        for one in (frame, frame.relabelled(positions=frame.positions @ turn.T, energy=None))
    ]
    return float(np.abs(found[0] @ turn.T - found[1]).max() / np.abs(found[0]).max())


def test_a_network_in_float64_is_equivariant_to_its_digits(ethanol_frames: Frames) -> None:
    """Cast as it is, its coupling coefficients of degree 2 would keep those of float32."""
    config = CheckpointConfig(
        model=ModelConfig(features=8, max_degree=2, num_iterations=3, radial_width=8, cutoff=3.0),
        elements=[1, 6, 8],
        reference_energies=dict.fromkeys([1, 6, 8], 0.0),
        dtype="float32",
    )
    torch.manual_seed(0)
    checkpoint = Checkpoint(new_network(config).eval(), config)
    frame = ethanol_frames[0]
    assert _turned_by(network_in(checkpoint, "float64"), frame) < 1e-13
    assert _turned_by(copy.deepcopy(checkpoint.network).double(), frame) > 1e-9
    same = network_in(checkpoint, "float32")
    graph = build_graph(frame, [1, 6, 8], 3.0)
    assert torch.equal(evaluate(same, graph).forces, evaluate(checkpoint.network, graph).forces)
