"""Atoms drawn from large frames: the sums over their rows are, in the mean, those over all."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.fisher.drawn_atoms import drawn_atoms, most_atoms_of
from fisher_mlip.fisher.jacobian import feature_jacobian, reverse_jacobian
from fisher_mlip.fisher.normal_equations import accumulate
from fisher_mlip.model import Checkpoint
from fisher_mlip.model.graph import graph_of_frames

ELEMENTS = [1, 6, 8]
ZEROS = dict.fromkeys(ELEMENTS, 0.0)
MakeCheckpoint = Callable[..., Checkpoint]


def frame_of(n_atoms: int, seed: int) -> Frame:
    rng = np.random.default_rng(seed)
    places = 1.4 * np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)[:n_atoms]
    positions = places + rng.normal(0, 0.1, (n_atoms, 3))
    numbers = rng.choice(ELEMENTS, n_atoms)
    forces = rng.normal(size=(n_atoms, 3)) * rng.uniform(0.1, 2.0, (n_atoms, 1))
    return Frame(numbers, positions, energy=0.0, forces=forces)


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Four frames of 5 to 24 atoms, whose labels are noise."""
    return Frames(tuple(frame_of(n, k) for k, n in enumerate((24, 5, 20, 24))), ZEROS, "noise")


def test_molecules_are_whole_however_many_there_are(frames: Frames) -> None:
    assert most_atoms_of(frames, 1, 1.0) is None
    assert most_atoms_of(Frames(frames.frames * 100, ZEROS, "noise"), 1, 1.0) is None


def test_as_many_atoms_as_the_features_want(
    frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fisher_mlip.fisher.drawn_atoms.FEWEST_ATOMS", 8)
    assert most_atoms_of(frames, 10, 0.0) is None
    assert most_atoms_of(frames, 73, 3.0) is None  # 73 atoms there are
    most = most_atoms_of(frames, 50, 3.0)
    assert most is not None
    sizes = np.array([24, 5, 20, 24])
    assert np.minimum(sizes, most).sum() >= 50 > np.minimum(sizes, most - 1).sum()
    # Of a frame never fewer than some.
    assert most_atoms_of(frames, 1, 1.0) == 8


def test_those_of_the_largest_forces_are_in_it_and_small_frames_whole(frames: Frames) -> None:
    drawn = drawn_atoms(frames, 12)
    ends = np.cumsum([frame.n_atoms for frame in frames])
    counts = np.histogram(drawn.index.numpy(), bins=[0, *ends])[0]
    assert counts.tolist() == [12, 5, 12, 12]
    assert float(drawn.stands_for.sum()) == pytest.approx(73)
    assert bool((drawn.index[1:] > drawn.index[:-1]).all())
    first = frames[0].forces
    assert first is not None
    largest = np.argsort(-np.linalg.norm(first, axis=1))[:3]
    own = drawn.index[:12].tolist()
    assert set(largest.tolist()) <= set(own)
    assert all(drawn.stands_for[own.index(k)] == 1.0 for k in largest.tolist())


def test_a_frame_has_the_same_atoms_drawn_wherever_it_is(frames: Frames) -> None:
    alone = drawn_atoms(frames.subset([3]), 9).index
    together = drawn_atoms(frames, 9).index
    assert torch.equal(together[-9:] - 49, alone)
    moved = replace(frames[3], positions=frames[3].positions + 0.01)
    assert not torch.equal(drawn_atoms(Frames((moved,), {}, ""), 9).index, alone)


@pytest.mark.parametrize("kind", ["last-layer", "products"])
def test_rows_are_those_of_the_whole_jacobian(
    random_checkpoint: MakeCheckpoint, frames: Frames, kind: str
) -> None:
    network = random_checkpoint(kind).network
    graph = graph_of_frames(frames, ELEMENTS, network.cutoff)
    atoms = drawn_atoms(frames, 9).index
    whole = reverse_jacobian(network, graph)
    found = feature_jacobian(network, graph, atoms=atoms, strain=True)
    torch.testing.assert_close(found.displacement, whole.displacement[atoms])
    torch.testing.assert_close(found.totals, whole.totals)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(found.displacement, whole.displacement[atoms - 1])


def test_sums_are_those_over_all_in_the_mean(
    random_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean of many draws of one frame; the certainty stratum counted as the rest is off."""
    network = random_checkpoint().network
    frames = Frames((frame_of(24, 0),), ZEROS, "noise")
    expected = accumulate(network, frames, ELEMENTS).forces

    def mean_square(weight_of_largest: float) -> float:
        found = []
        for seed in range(300):
            monkeypatch.setattr(
                "fisher_mlip.fisher.drawn_atoms.configuration", lambda _, s=seed: str(s).encode()
            )
            drawn = drawn_atoms(frames, 12)
            off = torch.from_numpy(frames[0].forces)[drawn.index].square().sum(dim=1)
            stands_for = torch.where(drawn.stands_for == 1.0, weight_of_largest, drawn.stands_for)
            found.append(float((stands_for * off).sum()))
        return float(np.mean(found))

    forces = frames[0].forces
    assert forces is not None
    total = float(np.square(forces).sum())
    assert mean_square(1.0) == pytest.approx(total, rel=0.02)
    assert mean_square(2.0) != pytest.approx(total, rel=0.1)
    sums = accumulate(network, frames, ELEMENTS, most_atoms=12).forces
    assert (sums.count, sums.components) == (36, pytest.approx(72))
    assert sums.weight == pytest.approx(expected.weight)
