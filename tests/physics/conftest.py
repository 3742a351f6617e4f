"""The model under test as functions of plain arrays."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.testing import low_symmetry_molecule

Evaluator = Callable[[Frame], tuple[float, FloatArray]]


@pytest.fixture(scope="session")
def predict(fitted_checkpoint: Checkpoint) -> Evaluator:
    """A frame -> energy (eV, relative to isolated atoms) and forces (n_atoms, 3) in eV/Å."""

    def evaluator(frame: Frame) -> tuple[float, FloatArray]:
        graph = build_graph(frame, [1, 6, 8], fitted_checkpoint.network.cutoff)
        prediction = evaluate(fitted_checkpoint.network, graph)
        return float(prediction.energies[0]), prediction.forces.numpy()

    return evaluator


@pytest.fixture(scope="session")
def predict_stress(fitted_checkpoint: Checkpoint) -> Callable[[Frame], FloatArray]:
    """A frame -> its stress (3, 3) in eV/Å^3."""

    def evaluator(frame: Frame) -> FloatArray:
        graph = build_graph(frame, [1, 6, 8], fitted_checkpoint.network.cutoff)
        stresses = evaluate(fitted_checkpoint.network, graph, stress=True).stresses
        assert stresses is not None
        return np.asarray(stresses[0].to(torch.float64))

    return evaluator


@pytest.fixture(scope="session")
def molecule() -> Frame:
    """A CHO molecule without any symmetry."""
    numbers, positions = low_symmetry_molecule()
    return Frame(np.where(numbers == 7, 8, numbers), positions)


@pytest.fixture(scope="session")
def crystal() -> Frame:
    """Ten atoms in a triclinic cell smaller than twice the cutoff, some outside of it."""
    rng = np.random.default_rng(3)
    cell = np.array([[4.6, 0.0, 0.0], [0.8, 4.2, 0.0], [-0.6, 0.5, 4.9]])
    grid = np.stack(np.meshgrid([0.0, 0.5], [0.0, 0.5], [0.0, 0.33, 0.66], indexing="ij"), -1)
    scaled = grid.reshape(-1, 3)[:10] + rng.uniform(-0.05, 0.05, (10, 3))
    numbers = np.array([6, 1, 8, 6, 1, 1, 8, 6, 1, 1])
    return Frame(
        numbers, (scaled + rng.integers(-1, 2, (10, 3))) @ cell, cell, np.ones(3, dtype=bool)
    )
