"""Sums over frames: in any batches, with weights, and true to the model that they describe."""

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher import normal_equations
from fisher_mlip.fisher.heads import set_theta
from fisher_mlip.fisher.normal_equations import NormalEquations, accumulate
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.model.network import EquivariantNetwork

ELEMENTS = [1, 6, 8]
REFERENCES = {1: -13.0, 6: -1030.0, 8: -2042.0}
CELL = np.array([[4.0, 0.0, 0.0], [0.4, 3.8, 0.0], [-0.3, 0.5, 4.1]])
MakeCheckpoint = Callable[..., Checkpoint]


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Molecules and crystals of several compositions with labels of noise; one has no energy."""
    rng = np.random.default_rng(0)
    found = []
    for k, numbers in enumerate(([8, 1, 1], [6, 8], [8, 1, 1], [6, 1, 8, 1], [6, 8], [8, 1, 6])):
        positions = 1.3 * np.arange(len(numbers))[:, None] * np.array([1.0, 0.3, -0.2])
        positions += rng.normal(0, 0.2, positions.shape)
        frame = Frame(np.array(numbers), positions)
        if k > 2:
            frame = replace(frame, cell=CELL, pbc=np.ones(3, dtype=bool))
        stress = rng.normal(size=(3, 3))
        frame = frame.relabelled(
            forces=rng.normal(size=positions.shape),
            energy=sum(REFERENCES[z] for z in numbers) + float(rng.normal()) if k else None,
            stress=stress + stress.T if k in (3, 5) else None,
        )
        found.append(frame)
    return Frames(tuple(found), REFERENCES, "noise")


def assert_same(found: NormalEquations, expected: NormalEquations) -> None:
    for part in ("forces", "energies", "virials"):
        mine, theirs = getattr(found, part), getattr(expected, part)
        size = max(np.abs(theirs.gram).max(), 1.0)
        np.testing.assert_allclose(mine.gram, theirs.gram, atol=1e-11 * size, err_msg=part)
        np.testing.assert_allclose(mine.moment, theirs.moment, atol=1e-11 * size, err_msg=part)
        assert mine.square == pytest.approx(theirs.square, rel=1e-11)
        assert mine.weight == pytest.approx(theirs.weight)


def test_one_batch_or_many_is_the_same(
    random_checkpoint: MakeCheckpoint, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = random_checkpoint("products").network
    weights = np.arange(1.0, 7.0)
    options = {"weights": weights, "virials": True}
    whole = accumulate(network, frames, ELEMENTS, **options)
    monkeypatch.setattr(normal_equations, "ATOMS_PER_BATCH", 5)
    seen: list[int] = []
    parts = accumulate(network, frames, ELEMENTS, **options, advance=seen.append)
    assert seen == [2, 1, 1, 2]
    assert_same(parts, whole)
    assert (whole.n_frames, whole.forces.count) == (6, 3 * 17)
    assert (whole.energies.count, whole.virials.count) == (5, 12)
    with pytest.raises(AssertionError):
        shuffled = accumulate(network, frames, ELEMENTS, weights=weights[::-1].copy(), virials=True)
        assert_same(shuffled, whole)


def test_weights_are_repeated_frames(random_checkpoint: MakeCheckpoint, frames: Frames) -> None:
    network = random_checkpoint().network
    times = [2, 1, 0, 3, 1, 2]
    repeated = frames.subset(np.repeat(np.arange(6), times))
    weighted = accumulate(
        network, frames, ELEMENTS, weights=np.array(times, dtype=float), virials=True
    )
    assert_same(weighted, accumulate(network, repeated, ELEMENTS, virials=True))


def errors(network: EquivariantNetwork, frames: Frames, offsets: FloatArray) -> list[float]:
    """Return the root mean square errors of forces, energies per atom and virials per atom."""
    forces, energies, virials = [], [], []
    for frame in frames:
        graph = build_graph(frame, ELEMENTS, network.cutoff)
        model = evaluate(network, graph, stress=frame.is_periodic)
        assert frame.forces is not None
        forces.append(model.forces.numpy() - frame.forces)
        if frame.energy is not None:
            e0 = sum(REFERENCES[int(z)] for z in frame.atomic_numbers)
            shift = sum(offsets[ELEMENTS.index(z)] for z in frame.atomic_numbers)
            error = float(model.energies[0]) + shift + e0 - frame.energy
            energies.append(error / frame.n_atoms)
        if frame.stress is not None:
            assert model.stresses is not None
            difference = model.stresses[0].numpy() - frame.stress
            volume = abs(np.linalg.det(frame.cell))
            virials.append(difference[np.triu_indices(3)] * volume / frame.n_atoms)
    parts = (np.concatenate(forces), np.array(energies), np.array(virials))
    return [float(np.sqrt(np.mean(part**2))) for part in parts]


@pytest.mark.parametrize("kind", ["last-layer", "all-layers", "products"])
def test_errors_from_the_sums_are_those_of_the_model(
    random_checkpoint: MakeCheckpoint, frames: Frames, kind: str
) -> None:
    network = random_checkpoint(kind).network
    sums = accumulate(network, frames, ELEMENTS, virials=True)
    rng = np.random.default_rng(1)
    theta = 5 * rng.normal(size=sums.n_features) / np.sqrt(np.diag(sums.forces.gram) + 1.0)
    offsets = np.array([0.3, -0.2, 0.9])
    whole = np.concatenate([theta, offsets])

    def predicted() -> list[float]:
        return [sums.forces.rms(theta), sums.energies.rms(whole), sums.virials.rms(theta)]

    before = errors(network, frames, np.zeros(3))
    assert [sums.forces.rms(), sums.energies.rms(), sums.virials.rms()] == pytest.approx(before)
    set_theta(network, theta)
    assert predicted() == pytest.approx(errors(network, frames, offsets), rel=1e-9)
    assert predicted() != pytest.approx(before, rel=1e-3)
    for wrong in (-theta, 1.01 * theta):
        network = random_checkpoint(kind).network
        set_theta(network, wrong)
        assert predicted() != pytest.approx(errors(network, frames, offsets), rel=1e-6)


def test_sums_are_float64_for_a_float32_network(
    random_checkpoint: MakeCheckpoint, frames: Frames
) -> None:
    network = copy.deepcopy(random_checkpoint().network).float()
    sums = accumulate(network, frames, ELEMENTS)
    assert sums.forces.gram.dtype == sums.energies.moment.dtype == np.float64


def test_virials_are_summed_only_where_they_are_wanted(
    random_checkpoint: MakeCheckpoint, frames: Frames
) -> None:
    sums = accumulate(random_checkpoint().network, frames, ELEMENTS)
    assert (sums.virials.count, sums.virials.weight) == (0, 0.0)
    added = sums + accumulate(random_checkpoint().network, frames, ELEMENTS, virials=True)
    assert (added.virials.count, added.n_frames) == (12, 12)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ({"forces": None}, r"expected forces in every frame of bad\.xyz"),
        ({"forces": np.full((3, 3), np.nan)}, r"expected finite frames in bad\.xyz, found NaN"),
    ],
)
def test_frames_without_whole_forces_are_refused(
    random_checkpoint: MakeCheckpoint, frames: Frames, labels: dict[str, object], sentence: str
) -> None:
    bad = Frames((frames[0].relabelled(**labels),), REFERENCES, source="bad.xyz")
    with pytest.raises(InputError, match=sentence):
        accumulate(random_checkpoint().network, bad, ELEMENTS)


def test_no_frames_are_refused(random_checkpoint: MakeCheckpoint) -> None:
    with pytest.raises(InputError, match="at least one frame"):
        accumulate(random_checkpoint().network, Frames(()), ELEMENTS)


def test_any_number_of_threads_makes_the_same_sums(
    random_checkpoint: MakeCheckpoint, frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = random_checkpoint("products").network
    monkeypatch.setattr(normal_equations, "ATOMS_PER_BATCH", 1)
    before = torch.get_num_threads()
    found = []
    for n_threads in (1, 4):
        torch.set_num_threads(n_threads)
        found.append(accumulate(network, frames, ELEMENTS, virials=True))
    torch.set_num_threads(before)
    assert_same(*found)


def test_negative_weights_are_refused(random_checkpoint: MakeCheckpoint, frames: Frames) -> None:
    weights = np.array([1.0, 1.0, -0.1, 1.0, 1.0, 1.0])
    with pytest.raises(InputError, match="weights of zero or more"):
        accumulate(random_checkpoint("last-layer").network, frames, ELEMENTS, weights=weights)
