"""Shifts and scales from the training frames."""

import math

import numpy as np
import pytest
import torch

from fisher_mlip.config import ModelConfig
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.model import CheckpointConfig
from fisher_mlip.train.batches import label_graphs
from fisher_mlip.train.normalization import element_shifts, force_scale, neighbor_scale


def hydrocarbon(carbons: int, hydrogens: int, energy: float) -> Frame:
    numbers = np.array([6] * carbons + [1] * hydrogens, dtype=np.int64)
    return Frame(numbers, 9.0 * np.arange(len(numbers))[:, None] * np.ones(3), energy=energy)


def test_shifts_of_several_compositions_are_exact() -> None:
    sizes = [(1, 4), (2, 6), (2, 4), (3, 8)]
    frames = Frames(
        tuple(hydrocarbon(c, h, -1000.0 * c - 10.0 * h - 3 * c - 2 * h) for c, h in sizes)
    )
    shifts = element_shifts(frames, [1, 6], {1: -10.0, 6: -1000.0})
    np.testing.assert_allclose(shifts, [-2.0, -3.0], atol=1e-10)
    assert shifts.dtype == torch.float64


def test_shifts_of_one_composition_have_the_least_norm() -> None:
    frames = Frames(tuple(hydrocarbon(2, 6, energy) for energy in (-81.0, -79.0)))
    shifts = element_shifts(frames, [1, 6], {1: 0.0, 6: 0.0})
    # min ||s|| with 6 s_H + 2 s_C = -80: s is parallel to the composition.
    np.testing.assert_allclose(shifts, -80.0 * np.array([6.0, 2.0]) / 40.0, atol=1e-10)


def test_shifts_without_energies_are_zero(ethanol_frames: Frames) -> None:
    bare = Frames(tuple(f.relabelled(energy=None) for f in ethanol_frames))
    shifts = element_shifts(bare, [1, 6, 8], ethanol_frames.reference_energies)
    assert shifts.tolist() == [0.0, 0.0, 0.0]


def test_scales_are_those_of_the_frames(ethanol_frames: Frames, tiny_model: ModelConfig) -> None:
    config = CheckpointConfig(
        model=tiny_model, elements=[1, 6, 8], reference_energies=ethanol_frames.reference_energies
    )
    batches = label_graphs(ethanol_frames, config)
    forces = np.concatenate([np.asarray(f.forces) for f in ethanol_frames])
    assert force_scale(batches) == pytest.approx(float(np.sqrt(np.mean(forces**2))), rel=1e-12)
    pairs = 0
    for frame in ethanol_frames:
        distances = np.linalg.norm(frame.positions[:, None] - frame.positions[None], axis=2)
        pairs += int(np.sum((distances < tiny_model.cutoff) & (distances > 0)))
    assert neighbor_scale(batches) == pytest.approx(math.sqrt(12 * 9 / pairs), rel=1e-12)


def test_atoms_without_neighbors_are_refused(tiny_model: ModelConfig) -> None:
    config = CheckpointConfig(
        model=tiny_model, elements=[1, 6], reference_energies={1: 0.0, 6: 0.0}
    )
    batches = label_graphs(Frames((hydrocarbon(1, 4, 0.0),)), config)
    with pytest.raises(InputError, match="found none"):
        neighbor_scale(batches)
