"""A training small enough for tests."""

from collections.abc import Callable
from typing import Any

import pytest

from fisher_mlip.config import ModelConfig, TrainConfig
from fisher_mlip.data.frames import Frames


@pytest.fixture(scope="session")
def tiny_model() -> ModelConfig:
    return ModelConfig(
        features=4, max_degree=1, num_iterations=2, num_basis_functions=4, radial_width=4
    )


@pytest.fixture(scope="session")
def tiny_config(tiny_model: ModelConfig) -> Callable[..., TrainConfig]:
    """A function that returns a configuration of given values; nine ethanols in a moment."""

    def make(**values: Any) -> TrainConfig:
        defaults = {
            "model": tiny_model,
            "batch_size": 4,
            "max_epochs": 4,
            "dtype": "float64",
            "device": "cpu",
        }
        return TrainConfig.model_validate(defaults | values)

    return make


@pytest.fixture(scope="session")
def parts(ethanol_frames: Frames) -> tuple[Frames, Frames]:
    """Nine training frames and three to validate on."""
    return ethanol_frames.subset(range(9)), ethanol_frames.subset(range(9, 12))
