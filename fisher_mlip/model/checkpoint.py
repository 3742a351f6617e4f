"""A trained model on disk: a folder of safetensors, YAML and JSON; never a pickle.

The weights carry what they mean (cutoff, elements, ...): another cutoff in `config.yaml` would fit
their shapes and be another model.
"""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, ValidationInfo, field_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from fisher_mlip.config import (
    Config,
    DtypeName,
    HeadConfig,
    ModelConfig,
    read_config,
    write_yaml,
)
from fisher_mlip.errors import InputError
from fisher_mlip.model.head import LinearHead, SampledHeads
from fisher_mlip.model.network import EquivariantNetwork, build_network
from fisher_mlip.products import read_json, write_bytes, write_json

WEIGHTS_NAME = "weights.safetensors"
CONFIG_NAME = "config.yaml"
METRICS_NAME = "metrics.json"
MEANING_KEY = "meaning"

# Keys of the network younger than the first checkpoints, and what those were trained with.
BEFORE_THE_KEY: dict[str, Any] = {"repulsion": False}
# What a checkpoint says nothing of has its default: it may be older than the key.
NO_HEAD: dict[str, Any] = HeadConfig().model_dump()


class CheckpointConfig(Config):
    """All that is needed to rebuild the network, and where it came from.

    Attributes:
        model: the network's hyperparameters.
        head: the linear space of the Fisher head; `last-layer`: none beside the readout.
        sampled_heads: deviations of theta that tell the uncertainty; 0 for none.
        elements: atomic numbers, ascending; a species is an index into them.
        reference_energies: E0 in eV by atomic number; predictions are relative to them.
        dtype: of the weights.
        data_hash: of the training frames.
        provenance: how the weights came about (training configuration, Fisher solution).
    """

    model: ModelConfig
    head: HeadConfig = HeadConfig()
    sampled_heads: int = Field(0, ge=0)
    elements: list[int] = Field(min_length=1)
    reference_energies: dict[int, float]
    dtype: DtypeName = "float32"
    data_hash: str = ""
    provenance: dict[str, Any] = Field(default_factory=dict)

    @field_validator("model", mode="before")
    @classmethod
    def _as_trained(cls, model: Any) -> Any:
        return BEFORE_THE_KEY | model if isinstance(model, dict) else model

    @field_validator("elements")
    @classmethod
    def _ascending_elements(cls, elements: list[int]) -> list[int]:
        if elements != sorted(set(elements)) or not 0 < elements[0] <= elements[-1] <= 118:
            raise ValueError("expected ascending atomic numbers")
        return elements

    @field_validator("reference_energies")
    @classmethod
    def _one_per_element(cls, energies: dict[int, float], info: ValidationInfo) -> dict[int, float]:
        missing = [z for z in info.data.get("elements", []) if z not in energies]
        if missing:
            raise ValueError(f"expected an energy of every element, none has Z={missing[0]}")
        return energies


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
    dtype = torch_dtype(config.dtype)
    network = build_network(config.model, config.elements, dtype)
    if config.head.kind != "last-layer":
        network.head = LinearHead(config.head, config.model, len(config.elements)).to(dtype)
    if config.sampled_heads:
        width = network.head.n_invariants if network.head else len(network.readout)
        samples = SampledHeads(config.sampled_heads, len(config.elements), width)
        network.samples = samples.to(dtype)
    return network


def network_in(checkpoint: Checkpoint, dtype: DtypeName) -> EquivariantNetwork:
    """Return a copy of the network in a dtype, on the CPU, its weights cast.

    Coupling coefficients and tables are made anew in that dtype: cast from float32 they would keep
    seven digits, and a float64 network would be equivariant to those only.
    """
    network = copy.deepcopy(checkpoint.network).cpu()
    if dtype != checkpoint.config.dtype:
        state = _own_state(network)
        network = new_network(checkpoint.config.model_copy(update={"dtype": dtype}))
        network.load_state_dict(
            {key: value.to(torch_dtype(dtype)) for key, value in state.items()}, strict=False
        )
    return network.to(torch_dtype(dtype)).eval()


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> list[Path]:
    """Write the three files of a checkpoint into `folder` and return their paths.

    Each file is written whole; the weights come last, so a folder with weights is complete.
    """
    paths = [folder / name for name in (CONFIG_NAME, METRICS_NAME, WEIGHTS_NAME)]
    write_yaml(paths[0], checkpoint.config.model_dump())
    write_json(paths[1], checkpoint.metrics)
    weights = {k: v.detach().cpu().contiguous() for k, v in _own_state(checkpoint.network).items()}
    meaning = json.dumps(_meaning(checkpoint.config))
    write_bytes(paths[2], save(weights, metadata={MEANING_KEY: meaning}))
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
    weights, meaning = _read_weights(weights_path)
    for key, value in _meaning(config).items():
        if meaning.get(key, value) != value:
            raise InputError(
                f"weights in '{weights_path}' were trained with {key} {meaning[key]}, found "
                f"{value} in {CONFIG_NAME}"
            )
    weights = _with_one_readout(weights, config, weights_path)
    network = new_network(config)
    expected = _own_state(network)
    misfits = sorted(expected.keys() ^ weights.keys()) or [
        key
        for key, value in expected.items()
        if (value.shape, value.dtype) != (weights[key].shape, weights[key].dtype)
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


def _meaning(config: CheckpointConfig) -> dict[str, Any]:
    """Return what of a configuration changes predictions without changing the weights' shapes."""
    return {
        **config.model.model_dump(),
        "head": config.head.model_dump(),
        "elements": config.elements,
        "dtype": config.dtype,
    }


def _read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            meaning = json.loads((file.metadata() or {}).get(MEANING_KEY, "{}"))
            if not isinstance(meaning, dict) or not isinstance(meaning.get("head", {}), dict):
                raise ValueError("its metadata do not say what the weights mean")
            if meaning:
                head = {"head": NO_HEAD | meaning.get("head", {})}
                meaning = BEFORE_THE_KEY | meaning | head
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"'{path}' is no whole safetensors file: {error}") from None
    return weights, meaning


def _with_one_readout(
    weights: dict[str, torch.Tensor], config: CheckpointConfig, path: Path
) -> dict[str, torch.Tensor]:
    """Return the weights of a checkpoint from before the readout's two linear maps became one.

    h + B silu(A h + a) + b was read out; the same energies are those of h beside silu(A h + a).
    """
    if "refine.2.weight" not in weights or "readout" not in weights:
        return weights
    if config.head.kind != "last-layer" or config.sampled_heads:
        raise InputError(
            f"expected a head over the present readout in '{path}', found one of an earlier "
            "version: finetune its pretrained model again"
        )
    made = dict(weights)
    second, offset = made.pop("refine.2.weight").double(), made.pop("refine.2.bias").double()
    readout, scale = made["readout"], made["energy_scale"].double()
    own = readout.double()
    made["readout"] = torch.cat([own, own @ second]).to(readout)
    made["shift"] = (made["shift"].double() + scale * (own @ offset)).to(readout)
    return made


def _own_state(network: EquivariantNetwork) -> dict[str, torch.Tensor]:
    """Return what data set; coupling coefficients and the repulsion's tables are rebuilt."""
    learned = {name for name, _ in network.named_parameters()} | {"energy_scale", "message_scale"}
    return {
        key: value
        for key, value in network.state_dict().items()
        if key in learned or key.endswith((".mixing", ".theta_samples", ".offset_samples"))
    }
