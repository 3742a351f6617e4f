"""A double well whose averages are known, a tiny finetuned model on disk, and short trainings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fisher_mlip.data import Frames, write_frames
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.fisher import Options, finetune, save_solution
from fisher_mlip.model import Checkpoint
from fisher_mlip.stable.config import StableConfig
from fisher_mlip.stable.estimator import Samples
from fisher_mlip.units import BOLTZMANN_EV_PER_K

TEMPERATURE = 600.0
# K, about that of the displacements of the Morse ethanols.
HOT = 3000.0
MakeConfig = Callable[..., StableConfig]


class DoubleWell:
    """U_theta(x) = a (x^2 - 1)^2 + theta . D(x) in one dimension, D = (x, x^2, x^4), eV and Å.

    Averages are quadratures on a grid that reaches far beyond the wells.
    """

    grid = np.linspace(-2.5, 2.5, 8001)
    barrier = 0.1  # eV

    def __init__(self, temperature: float = TEMPERATURE) -> None:
        self.temperature = temperature
        self.beta = 1.0 / (BOLTZMANN_EV_PER_K * temperature)

    @staticmethod
    def features(x: FloatArray) -> FloatArray:
        return np.stack([x, x**2, x**4], axis=-1)

    @staticmethod
    def observables(x: FloatArray) -> FloatArray:
        bumps = [np.exp(-0.5 * ((x - at) / 0.2) ** 2) for at in (-1.0, 0.0, 0.8)]
        return np.stack([x, x**2, *bumps], axis=-1)

    def density(self, theta: FloatArray) -> FloatArray:
        x = self.grid
        exponent = -self.beta * (self.barrier * (x**2 - 1.0) ** 2 + self.features(x) @ theta)
        weights = np.exp(exponent - exponent.max())
        return np.asarray(weights / weights.sum())

    def averages(self, theta: FloatArray) -> FloatArray:
        """Return <g> by quadrature, (n_g,)."""
        return self.density(theta) @ self.observables(self.grid)

    def slopes(self, theta: FloatArray, step: float = 1e-5) -> FloatArray:
        """Return d<g>/d theta by central differences of quadratures, (n_g, D)."""
        rows = [
            (self.averages(theta + step * e) - self.averages(theta - step * e)) / (2.0 * step)
            for e in np.eye(len(theta))
        ]
        return np.stack(rows, axis=1)

    def quantiles(self, theta: FloatArray, n: int) -> FloatArray:
        """Return n points of equal weight without noise: the middles of the density's quantiles."""
        return self.at((np.arange(n) + 0.5) / n, theta)

    def at(self, probability: FloatArray, theta: FloatArray) -> FloatArray:
        """Return the points below which lies each probability; uniform ones make a sample."""
        density = self.density(theta)
        middles = np.cumsum(density) - 0.5 * density
        return np.interp(probability, middles, self.grid)

    def samples(self, x: FloatArray, temperature: float | None = None) -> Samples:
        """Return points (n,), or (n, n_molecules), as samples, all independent."""
        points = x.reshape(len(x), -1)
        kelvin = self.temperature if temperature is None else temperature
        return Samples(self.observables(points), self.features(points), kelvin, float(len(x)))


@pytest.fixture(scope="session")
def well() -> DoubleWell:
    """The double well at 600 K, its barrier two kT."""
    return DoubleWell()


@pytest.fixture(scope="session")
def finetuned(
    tmp_path_factory: pytest.TempPathFactory,
    ethanol_frames: Frames,
    untrained: Callable[[Frames, int], Checkpoint],
) -> Path:
    """A tiny float64 model with a head of all layers, finetuned on Morse ethanols."""
    parts = ethanol_frames.subset(range(9)), ethanol_frames.subset(range(9, 12))
    options = Options(kinds=("all-layers",), look_outside=False, sampled_heads=2)
    folder = tmp_path_factory.mktemp("finetuned") / "fisher"
    folder.mkdir()
    save_solution(folder, finetune(untrained(ethanol_frames, 16), *parts, options=options))
    return folder


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, ethanol_frames: Frames) -> Path:
    """The Morse ethanols as a file."""
    path = tmp_path_factory.mktemp("reference") / "frames.xyz"
    write_frames(path, ethanol_frames)
    return path


@pytest.fixture
def short(finetuned: Path, reference: Path) -> MakeConfig:
    """Configurations of short trainings on four molecules, with given values changed."""

    def make(**values: Any) -> StableConfig:
        chosen: dict[str, Any] = {
            **{"finetuned": str(finetuned), "reference": str(reference), "temperature": HOT},
            **{"replicas": 8, "stable_ps": 0.06, "iterations": 2, "platform": "Reference"},
            **{"look_interval": 2, "frame_interval": 1, "margin_ps": 0.005},
        }
        return StableConfig(**(chosen | values))

    return make
