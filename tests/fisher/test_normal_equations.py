"""Accumulation, sums, and the file."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher import normal_equations
from fisher_mlip.fisher.jacobian import feature_jacobian
from fisher_mlip.fisher.normal_equations import (
    accumulate,
    load_normal_equations,
    save_normal_equations,
)
from fisher_mlip.model import Checkpoint, evaluate, graph_of_frames


def test_one_batch_or_many_is_the_same(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = accumulate(fitted_checkpoint.network, ethanol_frames, [1, 6, 8])
    monkeypatch.setattr(normal_equations, "ATOMS_PER_BATCH", 20)
    seen: list[int] = []
    parts = accumulate(fitted_checkpoint.network, ethanol_frames, [1, 6, 8], advance=seen.append)
    assert seen == [2] * 6
    np.testing.assert_allclose(parts.gram, whole.gram, rtol=1e-12, atol=1e-12 * whole.gram.max())
    np.testing.assert_allclose(parts.moment, whole.moment, rtol=1e-10)
    assert (parts.n_frames, parts.n_components) == (12, 12 * 27)


def test_rmse_from_the_sums_is_the_rmse_of_the_forces(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    network = fitted_checkpoint.network
    sums = accumulate(network, ethanol_frames, [1, 6, 8])
    theta = network.readout.detach().numpy()
    predicted = evaluate(network, graph_of_frames(ethanol_frames, [1, 6, 8], 3.0)).forces.numpy()
    forces = np.concatenate([frame.forces for frame in ethanol_frames if frame.forces is not None])
    direct = np.sqrt(np.mean((predicted - forces) ** 2))
    assert sums.force_rmse(theta) == pytest.approx(direct, rel=1e-9)


def test_everything_is_float64_for_a_float32_network(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    import copy

    network = copy.deepcopy(fitted_checkpoint.network).float()
    graph = graph_of_frames(ethanol_frames.frames[:1], [1, 6, 8], 3.0)
    assert feature_jacobian(network, graph).dtype == torch.float64
    assert accumulate(network, ethanol_frames.subset([0]), [1, 6, 8]).gram.dtype == np.float64


def test_file_round_trip(
    tmp_path: Path, fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    sums = accumulate(fitted_checkpoint.network, ethanol_frames.subset([0, 1]), [1, 6, 8])
    save_normal_equations(tmp_path / "gram.safetensors", sums, "hash")
    again = load_normal_equations(tmp_path / "gram.safetensors")
    assert np.array_equal(again.gram, sums.gram)
    assert np.array_equal(again.moment, sums.moment)
    assert again.force_square == sums.force_square


def test_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gram.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match="expected normal equations"):
        load_normal_equations(tmp_path / "gram.safetensors")


def test_frames_without_forces_are_refused(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    bare = Frames((ethanol_frames[0].relabelled(forces=None),), {}, source="bare.xyz")
    with pytest.raises(InputError, match=r"expected forces in every frame of bare\.xyz"):
        accumulate(fitted_checkpoint.network, bare, [1, 6, 8])


def test_no_frames_are_refused(fitted_checkpoint: Checkpoint) -> None:
    with pytest.raises(InputError, match="at least one frame"):
        accumulate(fitted_checkpoint.network, Frames(()), [1, 6, 8])
