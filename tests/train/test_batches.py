"""Labels, joined batches, and the order of frames."""

import numpy as np
import pytest
import torch

from fisher_mlip.config import ModelConfig
from fisher_mlip.data.frames import Frames
from fisher_mlip.model import CheckpointConfig
from fisher_mlip.train.batches import ShuffledBatches, label_frames, label_graphs


@pytest.fixture
def config(ethanol_frames: Frames, tiny_model: ModelConfig) -> CheckpointConfig:
    return CheckpointConfig(
        model=tiny_model,
        elements=ethanol_frames.elements,
        reference_energies=ethanol_frames.reference_energies,
    )


def test_energies_are_relative_to_isolated_atoms(
    ethanol_frames: Frames, config: CheckpointConfig
) -> None:
    batch = label_frames(ethanol_frames, config)
    e0 = config.reference_energies
    for frame, energy in zip(ethanol_frames, batch.energies, strict=True):
        assert frame.energy is not None
        expected = frame.energy - 6 * e0[1] - 2 * e0[6] - e0[8]
        assert float(energy) == pytest.approx(expected, abs=1e-9)
    assert batch.energies.dtype == torch.float64


def test_missing_labels_are_nan(ethanol_frames: Frames, config: CheckpointConfig) -> None:
    bare = Frames((ethanol_frames[0].relabelled(energy=None, forces=None),))
    batch = label_frames(bare, config)
    assert bool(torch.isnan(batch.energies).all())
    assert bool(torch.isnan(batch.forces).all())
    assert bool(torch.isnan(batch.stresses).all())


def test_every_epoch_has_every_frame_once_in_another_order(
    ethanol_frames: Frames, config: CheckpointConfig
) -> None:
    batches = ShuffledBatches(label_graphs(ethanol_frames, config), 5, seed=1)
    first, second = (np.concatenate(batches.order(epoch)) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first.tolist() != second.tolist()
    assert [len(batch) for batch in batches.order(0)] == [4, 4, 4]
    assert len(batches) == 3


def test_order_depends_on_seed_and_epoch_alone(
    ethanol_frames: Frames, config: CheckpointConfig
) -> None:
    graphs = label_graphs(ethanol_frames, config)
    one, two = (ShuffledBatches(graphs, 5, seed=1) for _ in range(2))
    list(one)
    np.random.seed(3)
    assert np.concatenate(one.order(7)).tolist() == np.concatenate(two.order(7)).tolist()
    other = ShuffledBatches(graphs, 5, seed=2)
    assert np.concatenate(one.order(7)).tolist() != np.concatenate(other.order(7)).tolist()


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_processes_share_the_frames_in_as_many_batches(
    ethanol_frames: Frames, config: CheckpointConfig, world_size: int
) -> None:
    graphs = label_graphs(ethanol_frames, config)
    shares = [
        ShuffledBatches(graphs, 2, seed=1, rank=rank, world_size=world_size).order(3)
        for rank in range(world_size)
    ]
    assert len({len(share) for share in shares}) == 1
    assert all(1 <= len(batch) <= 2 for share in shares for batch in share)
    assert sorted(np.concatenate([np.concatenate(share) for share in shares])) == list(range(12))


def test_iterating_yields_the_frames_of_the_order(
    ethanol_frames: Frames, config: CheckpointConfig
) -> None:
    graphs = label_graphs(ethanol_frames, config)
    batches = ShuffledBatches(graphs, 5, seed=1)
    for batch, indices in zip(batches, batches.order(0), strict=True):
        expected = torch.cat([graphs[i].forces for i in indices])
        assert torch.equal(batch.forces, expected)
