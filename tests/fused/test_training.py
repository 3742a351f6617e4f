"""Gradients of losses over the fused operators against torch's double backward."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fisher_mlip.config import ModelConfig
from fisher_mlip.data.frames import Frame
from fisher_mlip.fused.packing import FusedError
from fisher_mlip.fused.training import FusedTraining
from fisher_mlip.model.graph import Graph, graph_of_frames
from fisher_mlip.model.network import EquivariantNetwork, build_network
from fisher_mlip.model.potential import Prediction, evaluate
from fisher_mlip.testing import ethanol

ELEMENTS = [1, 6, 8]
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
Loss = Callable[[Prediction], Tensor]


def network(dtype: torch.dtype = torch.float64, **changes: float) -> EquivariantNetwork:
    torch.manual_seed(0)
    config = ModelConfig(num_basis_functions=6, radial_width=8, **changes)  # type: ignore[arg-type]
    made = build_network(config, ELEMENTS, dtype)
    made.message_scale.fill_(0.4)
    made.energy_scale.fill_(1.3)
    return made


def ethanols(n_frames: int, cutoff: float, *, periodic: bool = False) -> Graph:
    numbers, positions = ethanol()
    generator = np.random.default_rng(0)
    frames = []
    for k in range(n_frames):
        frame = Frame(numbers, positions + generator.normal(0.0, 0.05, positions.shape))
        if periodic:  # several images of each neighbor, in cells that are not alike
            cell = (4.5 + 0.3 * k) * np.eye(3) + 0.2 * generator.normal(size=(3, 3))
            frame = replace(frame, cell=cell, pbc=np.ones(3, dtype=bool))
        frames.append(frame)
    return graph_of_frames(frames, ELEMENTS, cutoff)


def loss_against_noise(graph: Graph, energy: float = 1.0, force: float = 1.0) -> Loss:
    generator = torch.Generator().manual_seed(3)
    energies = torch.randn(graph.n_frames, generator=generator, dtype=torch.float64)
    forces = torch.randn((graph.n_atoms, 3), generator=generator, dtype=torch.float64)

    def loss_of(prediction: Prediction) -> Tensor:
        off = (prediction.energies - energies) / graph.atoms_per_frame()
        return energy * off.square().mean() + force * (prediction.forces - forces).square().mean()

    return loss_of


def slopes_of(made: EquivariantNetwork) -> dict[str, Tensor]:
    """Return the gradients and leave none."""
    found = {
        name: torch.zeros_like(value) if value.grad is None else value.grad.clone()
        for name, value in made.named_parameters()
    }
    made.zero_grad()
    return found


def plain_slopes(made: EquivariantNetwork, graph: Graph, loss_of: Loss) -> dict[str, Tensor]:
    loss_of(evaluate(made, graph, training=True)).backward()  # type: ignore[no-untyped-call]
    return slopes_of(made)


def fused_slopes(fused: FusedTraining, graph: Graph, loss_of: Loss) -> dict[str, Tensor]:
    fused.loss(graph, loss_of)[0].backward()  # type: ignore[no-untyped-call]
    return slopes_of(fused.network)


def check_same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    # A parameter without influence on a loss, as a shift on forces, has a gradient of rounding.
    largest = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        scale = max(float(value.abs().max()), 1e-3 * largest)
        assert float((found[name] - value).abs().max()) <= tolerance * scale, name


CASES = [
    ({"features": 16, "max_degree": 2, "num_iterations": 3}, True),
    ({"features": 5, "max_degree": 2, "num_iterations": 2}, False),
    ({"features": 20, "max_degree": 1, "num_iterations": 3}, True),
    ({"features": 40, "max_degree": 1, "num_iterations": 2, "cutoff": 4.0}, False),
    ({"features": 16, "max_degree": 0, "num_iterations": 2}, True),
    ({"features": 9, "max_degree": 3, "num_iterations": 3}, False),
    ({"features": 33, "max_degree": 3, "num_iterations": 1}, True),
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("changes", "periodic"), CASES, ids=str)
def test_gradients_are_those_of_double_backward(
    dtype: torch.dtype, changes: dict[str, float], periodic: bool
) -> None:
    plain = network(dtype, **changes)
    graph = ethanols(3, plain.cutoff, periodic=periodic)
    loss_of = loss_against_noise(graph)
    expected = plain_slopes(plain, graph, loss_of)
    found = fused_slopes(FusedTraining(plain), graph, loss_of)
    check_same(found, expected, TOLERANCE[dtype])
    for name in found:
        off = {**found, name: 1.001 * found[name]}
        with pytest.raises(AssertionError, match=name):
            check_same(off, expected, TOLERANCE[dtype])


@pytest.mark.parametrize(("energy", "force"), [(1.0, 0.0), (0.0, 1.0)])
def test_losses_of_energies_or_forces_alone(energy: float, force: float) -> None:
    plain = network(features=8, max_degree=2)
    graph = ethanols(2, plain.cutoff)
    loss_of = loss_against_noise(graph, energy, force)
    expected = plain_slopes(plain, graph, loss_of)
    check_same(fused_slopes(FusedTraining(plain), graph, loss_of), expected, 1e-9)


def test_value_and_prediction_are_the_plain_networks() -> None:
    plain = network(features=8, max_degree=2)
    graph = ethanols(3, plain.cutoff, periodic=True)
    loss_of = loss_against_noise(graph)
    expected = evaluate(plain, graph)
    fused = FusedTraining(plain)
    value, met = fused.loss(graph, loss_of)
    assert float(value.detach()) == pytest.approx(float(loss_of(expected)), rel=1e-12)
    for found in (met, fused.predict(graph)):
        assert torch.allclose(found.energies, expected.energies, rtol=1e-12, atol=1e-12)
        assert torch.allclose(found.forces, expected.forces, rtol=1e-11, atol=1e-11)
        assert not found.energies.requires_grad
        assert not found.forces.requires_grad


def test_cores_that_overlap_are_in_the_loss() -> None:
    """The repulsion has no parameters, and yet the loss depends on it."""
    plain = network(features=8, max_degree=1)
    graph = ethanols(2, plain.cutoff)
    graph = replace(graph, positions=0.8 * graph.positions)
    loss_of = loss_against_noise(graph)
    expected = plain_slopes(plain, graph, loss_of)
    check_same(fused_slopes(FusedTraining(plain), graph, loss_of), expected, 1e-9)
    plain.repulsion = None
    with pytest.raises(AssertionError):
        check_same(fused_slopes(FusedTraining(plain), graph, loss_of), expected, 1e-9)


@pytest.mark.parametrize("operator", ["interaction_dual", "edge_tangents"])
def test_sabotage_a_tangent_or_a_map_is_seen(
    operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tangents of the harmonics dropped, or one entry of one layer's maps changed by a tenth."""
    plain = network(features=8, max_degree=2)
    graph = ethanols(2, plain.cutoff)
    loss_of = loss_against_noise(graph)
    expected = plain_slopes(plain, graph, loss_of)
    true = getattr(torch.ops.fisher_mlip, operator)

    def without_turns(*given: object) -> tuple[Tensor, Tensor]:
        turns, speeds = true(*given)
        return torch.zeros_like(turns), speeds

    def with_one_entry(*given: object) -> Tensor:
        maps = given[6]
        assert isinstance(maps, Tensor)
        changed = torch.cat([1.1 * maps[:1], maps[1:]])
        made: Tensor = true(*given[:6], changed, *given[7:])
        return made

    sabotage = with_one_entry if operator == "interaction_dual" else without_turns
    monkeypatch.setattr(torch.ops.fisher_mlip, operator, sabotage)
    with pytest.raises(AssertionError):
        check_same(fused_slopes(FusedTraining(plain), graph, loss_of), expected, 1e-9)


def test_gradient_is_the_losses_difference_along_a_direction() -> None:
    plain = network(features=8, max_degree=2)
    graph = ethanols(2, plain.cutoff)
    loss_of = loss_against_noise(graph)
    fused = FusedTraining(plain)
    slopes = fused_slopes(fused, graph, loss_of)
    generator = torch.Generator().manual_seed(5)
    directions = {
        name: torch.randn(value.shape, generator=generator, dtype=value.dtype)
        for name, value in plain.named_parameters()
    }
    expected = sum(float((slopes[name] * directions[name]).sum()) for name in slopes)
    step, values = 1e-5, []
    for sign in (1.0, -2.0):
        with torch.no_grad():
            for name, value in plain.named_parameters():
                value.add_(sign * step * directions[name])
        values.append(float(loss_of(fused.predict(graph))))
    assert (values[0] - values[1]) / (2.0 * step) == pytest.approx(expected, rel=1e-6)


def test_twenty_steps_of_an_optimizer_are_the_plain_ones() -> None:
    graph = ethanols(3, 3.0)
    loss_of = loss_against_noise(graph)
    curves: dict[bool, list[float]] = {}
    for is_fused in (True, False):
        made = network(features=8, max_degree=2)
        fused = FusedTraining(made)
        optimizer = torch.optim.Adam(made.parameters(), lr=1e-2, amsgrad=True)
        curves[is_fused] = []
        for _ in range(20):
            optimizer.zero_grad()
            if is_fused:
                loss, _ = fused.loss(graph, loss_of)
            else:
                loss = loss_of(evaluate(made, graph, training=True))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            curves[is_fused].append(float(loss.detach()))
    assert curves[True] == pytest.approx(curves[False], rel=1e-9)
    assert curves[True][-1] < 0.9 * curves[True][0]


def test_threads_and_repeats_change_no_bit_of_the_operators() -> None:
    plain = network(torch.float32, features=16, max_degree=2)
    graph = ethanols(4, plain.cutoff)
    loss_of = loss_against_noise(graph)
    given = torch.get_num_threads()
    found = []
    try:
        for n_threads in (1, 2, 1):
            torch.set_num_threads(n_threads)
            found.append(fused_slopes(FusedTraining(plain), graph, loss_of))
    finally:
        torch.set_num_threads(given)
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name in other)


def test_atoms_without_neighbors_and_labels_that_are_missing() -> None:
    plain = network(features=8, max_degree=1, cutoff=1.2)
    far = Frame(np.array([1, 8]), np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]]))
    numbers, positions = ethanol()
    graph = graph_of_frames([far, Frame(numbers, positions)], ELEMENTS, plain.cutoff)
    whole = loss_against_noise(graph)

    def loss_of(prediction: Prediction) -> Tensor:
        return prediction.energies[1].square() + 0.0 * whole(prediction)

    expected = plain_slopes(plain, graph, loss_of)
    check_same(fused_slopes(FusedTraining(plain), graph, loss_of), expected, 1e-9)


def test_what_is_not_compiled_is_refused() -> None:
    with pytest.raises(FusedError, match="expected degrees up to 3, found 4"):
        FusedTraining(network(features=4, max_degree=4))
