"""Configurations: unknown keys refused, messages that name the key, YAML there and back."""

import re
from pathlib import Path

import pytest

from fisher_mlip.config import (
    SimulateConfig,
    TrainConfig,
    parse_config,
    read_config,
    read_yaml,
    write_yaml,
)
from fisher_mlip.errors import InputError


def test_yaml_round_trip(tmp_path: Path) -> None:
    config = TrainConfig().changed(batch_size=7, seed=3)
    path = tmp_path / "train.yaml"
    write_yaml(path, config.model_dump())
    assert read_config(path, TrainConfig) == config
    assert config != TrainConfig()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"batchsize": 3}, ("unknown key 'batchsize'", "batch_size")),
        ({"model": {"layers": 3}}, ("unknown key 'model.layers'",)),
        ({"batch_size": 0}, ("'batch_size'", "greater than or equal to 1", "found 0")),
        ({"dtype": "float16"}, ("'dtype'", "float32", "float16")),
        ([1, 2], ("key: value", "list")),
        (None, ("key: value", "NoneType")),
    ],
)
def test_refusals_name_key_and_value(content: object, words: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        parse_config(content, TrainConfig, "'train.yaml'")
    message = str(caught.value)
    assert all(word in message for word in (*words, "train.yaml"))
    assert "\n" not in message


def test_changed_leaves_none_and_validates() -> None:
    config = SimulateConfig(model="model.pt")
    assert config.changed(steps=None, seed=None) == config
    assert config.changed(seed=0, steps=5).steps == 5
    with pytest.raises(InputError, match="steps"):
        config.changed(steps=0)


def test_configurations_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        SimulateConfig(model="model.pt").steps = 3  # type: ignore[misc]


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        read_yaml(tmp_path / "absent.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1, 2\nb: }")
    with pytest.raises(InputError, match="expected YAML") as caught:
        read_yaml(broken)
    assert "\n" not in str(caught.value)
    broken.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="expected YAML"):
        read_yaml(broken)


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text(f"seed: !!python/object/apply:pathlib.Path.touch ['{tmp_path / 'made'}']")
    with pytest.raises(InputError):
        read_yaml(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "text",
    [
        "learning_rate: .inf",
        "model:\n  cutoff: .nan",
        "model:\n  cutoff: 1.0e+6",
        "seed: -1",
        "seed: 2001-13-45",
        "batch_size: " + "[" * 3000,
        "seed: !!python/object/apply:os.getcwd []",
    ],
)
def test_hostile_yaml_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(InputError):
        read_config(path, TrainConfig)


def test_a_message_does_not_unfold_references(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path = tmp_path / "train.yaml"
    path.write_text("batch_size: 3\n" + "\n".join(lines).replace("a11:", "seed:"))
    with pytest.raises(InputError) as refused:
        read_config(path, TrainConfig)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("key", ["timestep", "temperature", "friction", "skin"])
def test_a_simulation_has_finite_numbers(key: str) -> None:
    with pytest.raises(InputError, match=f"'{key}' in options: input should be a finite number"):
        parse_config({"model": "model.pt", key: float("inf")}, SimulateConfig, "options")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", 2**63),
        ("temperature", 1e300),
        ("friction", 1e300),
        ("timestep", 1e-300),
        ("molecules", 999_999_999_999),
        ("steps", 10**30),
        ("skin", 1e300),
    ],
)
def test_a_simulation_has_numbers_within_reach(key: str, value: float) -> None:
    told = (
        f"'{key}' in options: input should be (less|greater) than .* found {re.escape(str(value))}"
    )
    with pytest.raises(InputError, match=told):
        parse_config({"model": "model.pt", key: value}, SimulateConfig, "options")
