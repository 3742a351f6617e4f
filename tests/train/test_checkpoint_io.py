"""The training state on disk."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fisher_mlip.errors import InputError
from fisher_mlip.train.checkpoint_io import SafetensorsIO

STATE: dict[str, Any] = {
    "epoch": 3,
    "rate": 0.1,
    "name": "train",
    "none": None,
    "flag": True,
    "state_dict": {"w": torch.arange(6.0).reshape(2, 3).T, "n": torch.tensor(4)},
    "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}, "betas": (0.9, 0.999)}],
    "empty": {},
    "limit": float("inf"),
}


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key, value in one.items():
            assert_same(value, other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_same(first, second)
    else:
        assert one == other


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    SafetensorsIO().save_checkpoint(STATE, path)
    assert_same(SafetensorsIO().load_checkpoint(path), STATE)
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]
    SafetensorsIO().remove_checkpoint(path)
    assert not path.exists()


def test_shared_tensors_are_written(tmp_path: Path) -> None:
    weights = torch.ones(3)
    SafetensorsIO().save_checkpoint({"a": weights, "b": weights}, tmp_path / "s.safetensors")
    loaded = SafetensorsIO().load_checkpoint(tmp_path / "s.safetensors")
    assert torch.equal(loaded["a"], loaded["b"])


def test_an_object_is_refused_by_its_place(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"checkpoint\.a\.1, found complex"):
        SafetensorsIO().save_checkpoint({"a": [1, 1j]}, tmp_path / "s.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_a_damaged_state_is_refused_in_a_sentence(tmp_path: Path, size: int) -> None:
    path = tmp_path / "last.safetensors"
    SafetensorsIO().save_checkpoint(STATE, path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match="is no whole training state"):
        SafetensorsIO().load_checkpoint(path)


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="is no whole training state"):
        SafetensorsIO().load_checkpoint(tmp_path / "foreign.safetensors")


def test_a_failed_write_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.safetensors"
    SafetensorsIO().save_checkpoint({"epoch": 1}, path)

    def full_disk(target: Path, content: bytes) -> int:
        with target.open("wb") as handle:
            handle.write(content[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        SafetensorsIO().save_checkpoint({"epoch": 2}, path)
    assert SafetensorsIO().load_checkpoint(path) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]
