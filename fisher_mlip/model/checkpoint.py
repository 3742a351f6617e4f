"""A trained model on disk: a folder of safetensors, YAML and JSON; never a pickle."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fisher_mlip.config import Config, DtypeName, ModelConfig, read_config, write_yaml
from fisher_mlip.errors import InputError
from fisher_mlip.model.network import EquivariantNetwork, build_network
from fisher_mlip.products import read_json, whole_file, write_json

WEIGHTS_NAME = "weights.safetensors"
CONFIG_NAME = "config.yaml"
METRICS_NAME = "metrics.json"


class CheckpointConfig(Config):
    """All that is needed to rebuild the network, and where it came from.

    Attributes:
        model: the network's hyperparameters.
        elements: atomic numbers, ascending; a species is an index into them.
        reference_energies: E0 in eV by atomic number; predictions are relative to them.
        dtype: of the weights.
        data_hash: of the training frames.
        provenance: how the weights came about (training configuration, Fisher solution).
    """

    model: ModelConfig
    elements: list[int] = Field(min_length=1)
    reference_energies: dict[int, float]
    dtype: DtypeName = "float32"
    data_hash: str = ""
    provenance: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network with its configuration and what was measured of it."""

    network: EquivariantNetwork
    config: CheckpointConfig
    metrics: dict[str, Any] = field(default_factory=dict)


def torch_dtype(name: DtypeName) -> torch.dtype:
    """Return torch's dtype of that name."""
    return {"float32": torch.float32, "float64": torch.float64}[name]


def new_network(config: CheckpointConfig) -> EquivariantNetwork:
    """Return a network of that configuration with random weights."""
    return build_network(config.model, len(config.elements), torch_dtype(config.dtype))


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> list[Path]:
    """Write the three files of a checkpoint into `folder` and return their paths.

    Each file is written whole; the weights come last, so a folder with weights is complete.
    """
    paths = [folder / name for name in (CONFIG_NAME, METRICS_NAME, WEIGHTS_NAME)]
    write_yaml(paths[0], checkpoint.config.model_dump())
    write_json(paths[1], checkpoint.metrics)
    weights = {k: v.detach().cpu().contiguous() for k, v in _own_state(checkpoint.network).items()}
    with whole_file(paths[2]) as partial:
        save_file(weights, partial)
    return paths


def load_checkpoint(folder: Path) -> Checkpoint:
    """Rebuild a model from its folder, on the CPU.

    Raises:
        InputError: no checkpoint, a damaged one, or weights that do not fit its configuration.
    """
    weights_path = folder / WEIGHTS_NAME
    if not weights_path.is_file():
        raise InputError(f"expected a checkpoint folder with {WEIGHTS_NAME}, found '{folder}'")
    config = read_config(folder / CONFIG_NAME, CheckpointConfig)
    try:
        weights = load_file(weights_path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"'{weights_path}' is no whole safetensors file: {error}") from None
    network = new_network(config)
    expected = _own_state(network)
    misfits = sorted(expected.keys() ^ weights.keys()) or [
        key for key, value in expected.items() if value.shape != weights[key].shape
    ]
    if misfits:
        raise InputError(
            f"weights in '{weights_path}' do not fit {CONFIG_NAME}: first misfit '{misfits[0]}'"
        )
    if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
        raise InputError(f"expected finite weights in '{weights_path}', found NaN or infinity")
    network.load_state_dict(weights, strict=False)
    network.eval()
    metrics = read_json(folder / METRICS_NAME) if (folder / METRICS_NAME).is_file() else {}
    return Checkpoint(network, config, metrics)


def _own_state(network: EquivariantNetwork) -> dict[str, torch.Tensor]:
    """Return what training set; e3nn's coupling coefficients are rebuilt, not stored."""
    learned = {name for name, _ in network.named_parameters()} | {"energy_scale", "message_scale"}
    return {key: value for key, value in network.state_dict().items() if key in learned}
