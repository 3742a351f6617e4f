"""Lightning's training state as one safetensors file: tensors by name, the rest as JSON.

The nested dictionary that Lightning hands over is walked once: each tensor goes into the file
under a number, and its place in the tree holds that number. Nothing is ever unpickled.
"""

import json
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fisher_mlip.errors import InputError
from fisher_mlip.products import write_bytes

TREE_KEY = "tree"


class SafetensorsIO(CheckpointIO):
    """Writes and reads the state that `--resume` goes on from; never half a file."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a nested dictionary of tensors and plain values."""
        tensors: dict[str, Tensor] = {}
        tree = json.dumps(_encoded(checkpoint, tensors, "checkpoint"))
        write_bytes(Path(path), save(tensors, metadata={TREE_KEY: tree}))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read it back, on the CPU; Lightning moves tensors where they belong.

        Raises:
            InputError: the file is missing, damaged, or not one of ours.
        """
        try:
            with safe_open(path, framework="pt") as handle:
                tree = json.loads((handle.metadata() or {})[TREE_KEY])
                tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
            checkpoint: dict[str, Any] = _decoded(tree, tensors)
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise InputError(f"'{path}' is no whole training state: {error}") from None
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete the file."""
        Path(path).unlink(missing_ok=True)


def _encoded(value: Any, tensors: dict[str, Tensor], place: str) -> Any:
    """Return `value` as JSON and put its tensors aside.

    Containers become `[kind, content]`, so that integer keys and tuples come back as they were.
    """
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # Cloned: safetensors refuses tensors that share memory.
        tensors[name] = value.detach().cpu().contiguous().clone()
        return ["tensor", name]
    if isinstance(value, dict):
        items = [[_plain(k, place), _encoded(v, tensors, f"{place}.{k}")] for k, v in value.items()]
        return ["dict", items]
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return [kind, [_encoded(v, tensors, f"{place}.{i}") for i, v in enumerate(value)]]
    return ["value", _plain(value, place)]


def _plain(value: Any, place: str) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"expected a tensor or a plain value at {place}, found {type(value).__name__}")


def _decoded(node: Any, tensors: dict[str, torch.Tensor]) -> Any:
    kind, content = node
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _decoded(value, tensors) for key, value in content}
    if kind == "list":
        return [_decoded(item, tensors) for item in content]
    if kind == "tuple":
        return tuple(_decoded(item, tensors) for item in content)
    if kind == "value":
        return content
    raise ValueError(f"unknown kind '{kind}'")
