"""Small random models with any head, and frames that they label themselves."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fisher_mlip.config import HeadConfig, HeadKind, ModelConfig
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.fisher.sums import RunningSums, Sums
from fisher_mlip.model import Checkpoint, CheckpointConfig, build_graph, evaluate, new_network

ELEMENTS = [1, 6, 8]
MakeCheckpoint = Callable[..., Checkpoint]
LabelledBy = Callable[..., Frames]


def _random_checkpoint(
    kind: HeadKind = "last-layer",
    *,
    max_degree: int = 1,
    layers: int = 2,
    cutoff: float = 3.0,
    seed: int = 0,
) -> Checkpoint:
    torch.manual_seed(seed)
    config = CheckpointConfig(
        model=ModelConfig(
            features=4,
            max_degree=max_degree,
            num_iterations=layers,
            num_basis_functions=4,
            radial_width=4,
            cutoff=cutoff,
        ),
        head=HeadConfig(kind=kind, product_channels=2 if kind == "products" else 0),
        elements=ELEMENTS,
        reference_energies=dict.fromkeys(ELEMENTS, 0.0),
        dtype="float64",
    )
    network = new_network(config).eval()
    network.energy_scale.fill_(0.7)
    network.message_scale.fill_(0.35)
    for name, buffer in network.named_buffers():
        if name.endswith(".mixing"):
            buffer.copy_(torch.randn_like(buffer))
    return Checkpoint(network, config)


def _labelled_by(checkpoint: Checkpoint, frames: Frames, offset: float = 0.0) -> Frames:
    references = checkpoint.config.reference_energies
    labelled = []
    for frame in frames:
        graph = build_graph(frame, ELEMENTS, checkpoint.network.cutoff)
        prediction = evaluate(checkpoint.network, graph, stress=frame.is_periodic)
        e0 = sum(references[int(z)] for z in frame.atomic_numbers)
        energy = float(prediction.energies[0]) + e0 + offset
        stress = prediction.stresses[0].numpy() if prediction.stresses is not None else None
        forces = prediction.forces.numpy()
        labelled.append(Frame(*_where(frame), energy=energy, forces=forces, stress=stress))
    return Frames(tuple(labelled), dict(references), "self-labelled")


def _where(frame: Frame) -> tuple:  # type: ignore[type-arg]
    return frame.atomic_numbers, frame.positions, frame.cell, frame.pbc


def small_config(elements: list[int]) -> CheckpointConfig:
    """Return the configuration of a float64 model of two layers, as small as they come."""
    return CheckpointConfig(
        model=ModelConfig(
            features=4, max_degree=1, num_iterations=2, num_basis_functions=4, radial_width=4
        ),
        elements=elements,
        reference_energies=dict.fromkeys(elements, 0.0),
        dtype="float64",
    )


def sums_over(rows: Tensor, residuals: Tensor, weights: Tensor) -> Sums:
    """Return the sums over rows (n, D), residuals (n,) and weights (n,) >= 0, all at once."""
    running = RunningSums(rows.shape[1])
    running.add(rows, residuals, weights)
    return running.total()


@pytest.fixture(scope="session")
def random_checkpoint() -> MakeCheckpoint:
    """Make a random float64 model with a head whose theta is zero."""
    return _random_checkpoint


@pytest.fixture(scope="session")
def labelled_by() -> LabelledBy:
    """Label frames with a model's own energies (plus an offset), forces and stresses."""
    return _labelled_by
