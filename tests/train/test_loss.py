"""The loss against a calculation by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fisher_mlip.config import ModelConfig, TrainConfig
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.model import CheckpointConfig, Prediction
from fisher_mlip.train.batches import Batch, label_frames
from fisher_mlip.train.loss import force_matching_loss


@pytest.fixture
def batch(tiny_model: ModelConfig) -> Batch:
    """Two periodic frames of two and three hydrogens."""
    generator = np.random.default_rng(0)
    frames = [
        Frame(
            np.ones(n, dtype=np.int64),
            generator.uniform(0, 4, (n, 3)),
            cell=4.0 * np.eye(3),
            pbc=np.ones(3, dtype=bool),
            energy=float(n),
            forces=generator.normal(size=(n, 3)),
            stress=generator.normal(size=(3, 3)),
        )
        for n in (2, 3)
    ]
    config = CheckpointConfig(model=tiny_model, elements=[1], reference_energies={1: 0.0})
    return label_frames(Frames(tuple(frames)), config)


def shifted(batch: Batch, energy: float, force: float, stress: float) -> Prediction:
    """Return the labels plus constants."""
    return Prediction(batch.energies + energy, batch.forces + force, batch.stresses + stress)


def test_terms_and_weights(batch: Batch, tiny_config: Callable[..., TrainConfig]) -> None:
    config = tiny_config(energy_weight=2.0, forces_weight=3.0, stress_weight=5.0)
    loss = force_matching_loss(shifted(batch, 0.6, 0.1, 0.01), batch, config)
    energy = 2.0 * np.mean([(0.6 / 2) ** 2, (0.6 / 3) ** 2])
    stress = 5.0 * np.mean([(0.01 * 64 / 2) ** 2, (0.01 * 64 / 3) ** 2])
    assert float(loss) == pytest.approx(energy + 3.0 * 0.1**2 + stress, rel=1e-12)


def test_missing_labels_leave_no_trace(
    batch: Batch, tiny_config: Callable[..., TrainConfig]
) -> None:
    config = tiny_config(stress_weight=1.0)
    unknown = Batch(
        batch.graph,
        energies=torch.full_like(batch.energies, torch.nan),
        forces=batch.forces,
        stresses=torch.full_like(batch.stresses, torch.nan),
    )
    prediction = shifted(batch, 0.6, 0.1, 0.01)
    energies = prediction.energies.requires_grad_(True)
    loss = force_matching_loss(prediction, unknown, config)
    assert float(loss.detach()) == pytest.approx(0.1**2, rel=1e-12)
    (gradient,) = torch.autograd.grad(loss, energies)
    assert torch.equal(gradient, torch.zeros_like(gradient))
