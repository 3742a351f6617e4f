"""Spans of bonds and angles, and the stiffness that a force field's own frames give back."""

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frames
from fisher_mlip.data.sampling import sample_gas
from fisher_mlip.fisher.outside.connectivity import Connectivity
from fisher_mlip.fisher.outside.ranges import Ranges, Seen, Span

KCAL = 0.0433641  # eV
# OPLS-AA, E = K x^2 in kcal/mol, Å and rad (Jorgensen et al. 1996), twice that as a stiffness.
BONDS = {(1, 6): 2 * 340.0 * KCAL, (1, 8): 2 * 553.0 * KCAL, (6, 8): 2 * 320.0 * KCAL}
ANGLES = {(6, 1, 1): 2 * 33.0 * KCAL, (8, 1, 6): 2 * 55.0 * KCAL}


@pytest.fixture(scope="module")
def frames() -> Frames:
    return sample_gas(300, 500.0, seed=1)


def turned_around(frames: Frames) -> Frames:
    return Frames(tuple(f.relabelled(forces=-f.forces) for f in frames if f.forces is not None))


def assert_stiffness(seen: Ranges) -> None:
    """That of the force field, less what neighboring coordinates give way when relaxed."""
    for found, expected in ((seen.bonds, BONDS), (seen.angles, ANGLES)):
        for kind, stiffness in expected.items():
            assert found[kind].stiffness == pytest.approx(stiffness, rel=0.25)  # type: ignore[index]


def test_frames_give_back_the_stiffness_of_their_force_field(frames: Frames) -> None:
    assert_stiffness(Ranges.of(frames))


def test_sabotage_forces_of_the_other_sign_say_nothing(frames: Frames) -> None:
    wrong = Ranges.of(turned_around(frames))
    assert {span.stiffness for span in (wrong.bonds | wrong.angles).values()} == {None}  # type: ignore[operator]
    with pytest.raises(AssertionError):
        assert_stiffness(wrong)


def test_without_forces_spans_are_the_same_and_stiffness_is_not_told(frames: Frames) -> None:
    bare = Frames(tuple(frame.relabelled(forces=None) for frame in frames))
    told, silent = Ranges.of(frames), Ranges.of(bare)
    for kind, span in silent.bonds.items():
        full = told.bonds[kind]
        assert (span.least, span.mean, span.most) == (full.least, full.mean, full.most)
        assert span.stiffness is None


def test_lengths_are_those_of_the_bonds(frames: Frames) -> None:
    lengths = []
    for frame in frames:
        bonds = Connectivity.of(frame)
        ends = frame.atomic_numbers[np.stack([bonds.i, bonds.j])]
        lengths += bonds.lengths[(np.sort(ends, axis=0) == [[1], [8]]).all(axis=0)].tolist()
    span = Ranges.of(frames).bonds[1, 8]
    assert (span.least, span.most) == (min(lengths), max(lengths))
    assert span.mean == pytest.approx(np.mean(lengths))


def thermal(stiffness: float, noise: tuple[float, float], n: int) -> list[Seen]:
    """Values of kT = 0.04 eV; other bonds pull at each end with forces that know nothing of x."""
    rng = np.random.default_rng(0)
    x: FloatArray = np.sqrt(0.04 / stiffness) * rng.normal(size=n)
    others = rng.normal(size=(n, 2)) * noise
    return [Seen(1.0 + a, (p, q)) for a, (p, q) in zip(x, others - stiffness * x[:, None])]  # noqa: B905


def test_the_end_that_tells_it_better_is_asked() -> None:
    for noise in ((0.1, 30.0), (30.0, 0.1)):
        assert Span.of(thermal(30.0, noise, 100)).stiffness == pytest.approx(30.0, rel=0.05)


def test_what_could_be_chance_is_not_told() -> None:
    assert Span.of(thermal(30.0, (10.0, 10.0), 30)).stiffness is None
    assert Span.of(thermal(30.0, (10.0, 10.0), 3000)).stiffness == pytest.approx(30.0, rel=0.4)
    assert Span.of([Seen(1.0, (0.0, 0.0))] * 50).stiffness is None
