"""The Jacobian against finite differences and against the forces it must give."""

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.fisher.jacobian import feature_jacobian
from fisher_mlip.model import Checkpoint, build_graph, evaluate, graph_of_frames
from fisher_mlip.model.potential import network_inputs


def dense_jacobian(checkpoint: Checkpoint, frame: Frame, step: float = 1e-4) -> FloatArray:
    """Return dD/dx (n_atoms, 3, D) by central differences."""

    def totals(positions: FloatArray) -> FloatArray:
        graph = build_graph(
            Frame(frame.atomic_numbers, positions, frame.cell, frame.pbc), [1, 6, 8], 3.0
        )
        inputs = network_inputs(checkpoint.network, graph, graph.positions, graph.cells)
        with torch.no_grad():
            return np.asarray(checkpoint.network.last_layer_features(*inputs).sum(dim=0).numpy())

    columns = np.zeros((frame.n_atoms, 3, len(checkpoint.network.readout)))
    for index in np.ndindex(frame.n_atoms, 3):
        moved = np.zeros_like(frame.positions)
        moved[index] = step
        up, down = totals(frame.positions + moved), totals(frame.positions - moved)
        columns[index] = (up - down) / (2 * step)
    return columns


@pytest.fixture(scope="module")
def periodic(ethanol_frames: Frames) -> Frame:
    frame = ethanol_frames[0]
    cell = np.array([[5.0, 0.0, 0.0], [0.7, 4.5, 0.0], [-0.4, 0.6, 4.8]])
    return Frame(frame.atomic_numbers, frame.positions, cell, np.ones(3, dtype=bool))


@pytest.mark.parametrize("boundary", ["open", "periodic"])
def test_equals_finite_differences(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames, periodic: Frame, boundary: str
) -> None:
    frame = periodic if boundary == "periodic" else ethanol_frames[0]
    jacobian = feature_jacobian(fitted_checkpoint.network, build_graph(frame, [1, 6, 8], 3.0))
    expected = dense_jacobian(fitted_checkpoint, frame)
    np.testing.assert_allclose(jacobian.numpy(), expected, atol=1e-6 * np.abs(expected).max())


def test_sabotage_a_feature_left_out_is_caught(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    jacobian = feature_jacobian(
        fitted_checkpoint.network, build_graph(ethanol_frames[0], [1, 6, 8], 3.0)
    )
    jacobian[:, :, 3] = 0.0
    expected = dense_jacobian(fitted_checkpoint, ethanol_frames[0])
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(jacobian.numpy(), expected, atol=1e-6 * np.abs(expected).max())


def test_times_the_readout_it_gives_the_forces_of_every_frame(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    network = fitted_checkpoint.network
    graph = graph_of_frames(ethanol_frames.frames[:3], [1, 6, 8], 3.0)
    forces = -feature_jacobian(network, graph) @ network.readout.detach()
    torch.testing.assert_close(forces, evaluate(network, graph).forces, atol=1e-11, rtol=0)
