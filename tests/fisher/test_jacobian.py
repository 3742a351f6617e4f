"""Both ways to the Jacobian against finite differences, for every head and boundary."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.fisher import fused_layers as fused_module
from fisher_mlip.fisher import jacobian as module
from fisher_mlip.fisher import tangents
from fisher_mlip.fisher.fused_layers import FusedLayers, fused_layers, predicted
from fisher_mlip.fisher.jacobian import (
    Jacobian,
    feature_jacobian,
    forward_jacobian,
    reverse_is_cheaper,
    reverse_jacobian,
    whole_frames_are_cheaper,
)
from fisher_mlip.model import Checkpoint, build_graph, evaluate, graph_of_frames
from fisher_mlip.model.graph import Graph, join_graphs
from fisher_mlip.model.network import EquivariantNetwork
from fisher_mlip.model.potential import network_inputs

ELEMENTS, STEP = [1, 6, 8], 1e-4
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
KINDS = ["last-layer", "per-element", "all-layers", "products"]
MakeCheckpoint = Callable[..., Checkpoint]

WATER = Frame(np.array([8, 1, 1]), np.array([[0.0, 0.1, 0], [0.9, 0.4, 0.1], [-0.6, 0.7, -0.2]]))
CARBONYL = Frame(np.array([6, 8]), np.array([[0.3, -0.2, 0.1], [1.2, 0.4, -0.5]]))
ATOM = Frame(np.array([6]), np.array([[0.2, 0.1, 0.0]]))
# Every atom sees its own images: the cell is smaller than the cutoff.
CRYSTAL = Frame(
    np.array([6, 1, 8]),
    np.array([[0.1, 0.2, 0.3], [1.2, 1.1, 1.6], [0.4, 1.6, 2.2]]),
    np.array([[2.7, 0.0, 0.0], [0.4, 2.5, 0.0], [-0.3, 0.5, 2.9]]),
    np.ones(3, dtype=bool),
)


def chain() -> Frame:
    """Sixteen atoms in a long periodic box: two layers reach four to six of them each way."""
    rng = np.random.default_rng(0)
    positions = np.arange(16)[:, None] * np.array([1.3, 0.0, 0.0]) + rng.normal(0, 0.2, (16, 3))
    numbers = rng.choice(ELEMENTS, 16)
    return Frame(numbers, positions, np.diag([16 * 1.3, 9.0, 9.0]), np.ones(3, dtype=bool))


CASES = {
    "molecule": [WATER],
    "joined": [WATER, ATOM, CARBONYL],
    "atom": [ATOM],
    "crystal": [CRYSTAL],
    "joined-crystals": [CRYSTAL, replace(CRYSTAL, positions=1.05 * CRYSTAL.positions), WATER],
    "chain": [chain()],
}


def fused_jacobian(network: EquivariantNetwork, graph: Graph) -> Jacobian:
    layers = fused_layers(network)
    assert layers is not None
    return forward_jacobian(network, graph, strain=True, layers=layers)


def joined(case: str) -> Graph:
    return graph_of_frames(Frames(tuple(CASES[case])), ELEMENTS, 3.0)


def totals(network: EquivariantNetwork, frame: Frame) -> FloatArray:
    graph = build_graph(frame, ELEMENTS, network.cutoff)
    inputs = network_inputs(network, graph, graph.positions, graph.cells)
    with torch.no_grad():
        return np.asarray(network.last_layer_features(*inputs).sum(dim=0).numpy())


def displaced(network: EquivariantNetwork, frame: Frame) -> FloatArray:
    """Return dD/dx (n_atoms, 3, D) of a frame alone, by central differences."""
    rows = []
    for index in np.ndindex(frame.n_atoms, 3):
        moved = np.zeros_like(frame.positions)
        moved[index] = STEP
        up = totals(network, replace(frame, positions=frame.positions + moved))
        down = totals(network, replace(frame, positions=frame.positions - moved))
        rows.append((up - down) / (2 * STEP))
    return np.array(rows).reshape(frame.n_atoms, 3, -1)


def strained(network: EquivariantNetwork, frame: Frame) -> FloatArray:
    """Return dD/d(strain) (6, D) of a frame alone, by central differences."""
    rows = []
    for i, j in VOIGT:
        strain = np.zeros((3, 3))
        strain[i, j] += 0.5 * STEP
        strain[j, i] += 0.5 * STEP
        ends = [
            totals(
                network,
                replace(
                    frame,
                    positions=frame.positions @ (np.eye(3) + sign * strain),
                    cell=frame.cell @ (np.eye(3) + sign * strain),
                ),
            )
            for sign in (1, -1)
        ]
        rows.append((ends[0] - ends[1]) / (2 * STEP))
    return np.array(rows)


def assert_exact(network: EquivariantNetwork, frames: list[Frame], found: Jacobian) -> None:
    """Totals, displacements and strains of each frame are those of the frame by itself."""
    expected = np.concatenate([displaced(network, frame) for frame in frames])
    scale = max(float(np.abs(expected).max()), 1e-3)
    np.testing.assert_allclose(found.displacement.numpy(), expected, atol=2e-6 * scale)
    expected = np.array([totals(network, frame) for frame in frames])
    np.testing.assert_allclose(found.totals.numpy(), expected, atol=1e-11)
    assert found.strain is not None
    expected = np.array([strained(network, frame) for frame in frames])
    np.testing.assert_allclose(found.strain.numpy(), expected, atol=2e-6 * max(scale, 1.0))


def assert_equal(first: Jacobian, second: Jacobian) -> None:
    for name in ("totals", "displacement", "strain"):
        torch.testing.assert_close(
            getattr(first, name), getattr(second, name), atol=1e-11, rtol=1e-10, msg=name
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", sorted(CASES))
def test_forward_is_reverse(random_checkpoint: MakeCheckpoint, case: str, kind: str) -> None:
    network = random_checkpoint(kind, max_degree=2).network
    graph = joined(case)
    forward = forward_jacobian(network, graph, strain=True)
    assert_equal(forward, reverse_jacobian(network, graph, strain=True))
    assert forward.displacement.dtype == torch.float64


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", sorted(CASES))
def test_fused_is_reverse(random_checkpoint: MakeCheckpoint, case: str, kind: str) -> None:
    network = random_checkpoint(kind, max_degree=2).network
    graph = joined(case)
    assert_equal(fused_jacobian(network, graph), reverse_jacobian(network, graph, strain=True))


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize(("degree", "layers"), [(0, 2), (1, 1), (3, 3)])
def test_fused_at_any_depth_and_degree(
    random_checkpoint: MakeCheckpoint, degree: int, layers: int
) -> None:
    network = random_checkpoint("products", max_degree=degree, layers=layers).network
    graph = joined("joined")
    assert_equal(fused_jacobian(network, graph), reverse_jacobian(network, graph, strain=True))


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", sorted(CASES))
def test_fused_predictions(random_checkpoint: MakeCheckpoint, case: str, kind: str) -> None:
    network = random_checkpoint(kind, max_degree=2).network
    if network.head is not None:
        network.head.theta.data = torch.randn_like(network.head.theta)
    found = predicted(network, joined(case), fused_layers(network))
    expected = evaluate(network, joined(case))
    torch.testing.assert_close(found.energies, expected.energies, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(found.forces, expected.forces, rtol=1e-10, atol=1e-10)
    assert not found.forces.requires_grad and not found.energies.requires_grad


@pytest.mark.usefixtures("operators")
def test_fused_chunks_change_nothing(
    random_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, graph = random_checkpoint("products").network, joined("joined-crystals")
    whole = fused_jacobian(network, graph)
    monkeypatch.setattr(fused_module, "ROWS_AT_ONCE", 10)
    assert_equal(fused_jacobian(network, graph), whole)


@pytest.mark.usefixtures("operators")
def test_molecules_go_over_the_fused_operators(
    random_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What depends on an atom is all of a molecule, and little of a long chain."""
    network = random_checkpoint("products").network
    layers = fused_layers(network)
    long = graph_of_frames([chain()], ELEMENTS, 1.6)
    assert whole_frames_are_cheaper(network, joined("molecule"))
    assert not whole_frames_are_cheaper(network, long)
    taken: list[object] = []

    def forward(*_: object, layers: FusedLayers | None, **options: object) -> None:
        taken.append(layers)

    monkeypatch.setattr(module, "forward_jacobian", forward)
    for graph in (joined("molecule"), long):
        feature_jacobian(network, graph, layers=layers)
    assert taken == [layers, None]


@pytest.mark.parametrize("way", [forward_jacobian, reverse_jacobian])
@pytest.mark.parametrize(
    ("case", "kind"),
    [("joined", "products"), ("joined-crystals", "products"), ("chain", "last-layer")],
)
def test_both_are_finite_differences(
    random_checkpoint: MakeCheckpoint, case: str, kind: str, way: Callable[..., Jacobian]
) -> None:
    network = random_checkpoint(kind).network
    assert_exact(network, CASES[case], way(network, joined(case), strain=True))


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda x: torch.cat([x[..., :3], 0 * x[..., 3:4], x[..., 4:]], -1), "displacement"),
        (lambda x: 1.0001 * x, "displacement"),
        (lambda x: x[:, [0, 1, 2, 4, 3, 5]], "strain"),
        (lambda x: x.flip(0), "totals"),
    ],
    ids=["a feature left out", "a hundredth of a percent", "yz and xz swapped", "frames swapped"],
)
def test_sabotage_is_caught(
    random_checkpoint: MakeCheckpoint, spoil: Callable[[torch.Tensor], torch.Tensor], name: str
) -> None:
    network = random_checkpoint().network
    found = forward_jacobian(network, joined("joined-crystals"), strain=True)
    spoiled = replace(found, **{name: spoil(getattr(found, name))})
    with pytest.raises(AssertionError):
        assert_exact(network, CASES["joined-crystals"], spoiled)


@pytest.mark.parametrize(("degree", "layers"), [(0, 2), (2, 1), (2, 3)])
def test_any_depth_and_degree(random_checkpoint: MakeCheckpoint, degree: int, layers: int) -> None:
    network = random_checkpoint("products", max_degree=degree, layers=layers).network
    graph = joined("crystal")
    forward = forward_jacobian(network, graph, strain=True)
    assert_equal(forward, reverse_jacobian(network, graph, strain=True))


def test_chunks_change_nothing(
    random_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = random_checkpoint("products").network
    graph = join_graphs([joined("chain"), joined("joined-crystals")])
    whole = forward_jacobian(network, graph, strain=True)
    at = tangents.Linearization(network, graph)
    seeds = module.displacement_seeds(graph, torch.float64)
    assert len(module._chunks(at, seeds, graph.n_atoms)) == 1
    monkeypatch.setattr(tangents, "ROWS_AT_ONCE", 60)
    monkeypatch.setattr(tangents, "TRIPLES_AT_ONCE", 7)
    assert len(module._chunks(at, seeds, graph.n_atoms)) > 4
    assert_equal(forward_jacobian(network, graph, strain=True), whole)


def test_the_cheaper_way_is_taken(
    random_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few features and many dependent atoms: reverse. Many features of a molecule: forward."""
    dense = Frame(np.tile(CRYSTAL.atomic_numbers, 4), np.tile(CRYSTAL.positions, (4, 1)))
    apart = np.repeat([[0.0], [0.4], [0.8], [1.2]], 3, axis=0)
    dense = replace(dense, positions=dense.positions + apart)
    few, many = random_checkpoint().network, random_checkpoint("products").network
    graph = build_graph(dense, ELEMENTS, 3.0)
    assert reverse_is_cheaper(few, graph)
    assert not reverse_is_cheaper(many, build_graph(WATER, ELEMENTS, 3.0))
    taken: list[str] = []
    for name in ("forward_jacobian", "reverse_jacobian"):
        monkeypatch.setattr(module, name, lambda *a, name=name, **k: taken.append(name))
    feature_jacobian(few, graph)
    feature_jacobian(many, build_graph(WATER, ELEMENTS, 3.0))
    assert taken == ["reverse_jacobian", "forward_jacobian"]


def test_times_the_readout_it_gives_the_forces_of_every_frame(
    random_checkpoint: MakeCheckpoint,
) -> None:
    network = random_checkpoint().network
    network.repulsion = None
    graph = joined("joined-crystals")
    forces = -feature_jacobian(network, graph).displacement @ network.readout.detach()
    torch.testing.assert_close(forces, evaluate(network, graph).forces, atol=1e-11, rtol=0)


def test_float32_networks_give_float64_sums(random_checkpoint: MakeCheckpoint) -> None:
    network = random_checkpoint("products").network
    exact = forward_jacobian(network, joined("joined"))
    rounded = forward_jacobian(network.float(), joined("joined"))
    assert rounded.displacement.dtype == rounded.totals.dtype == torch.float64
    difference = (rounded.displacement - exact.displacement).abs().max()
    assert 0 < float(difference) < 1e-4 * float(exact.displacement.abs().max())
