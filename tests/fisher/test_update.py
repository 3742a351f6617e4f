"""Frames added or removed afterwards: the same as having solved with or without them at once."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher import LabelWeights, Options, Solution, finetune, save_solution
from fisher_mlip.fisher.normal_equations import NormalEquations, accumulate
from fisher_mlip.fisher.update import load_finetune, update
from fisher_mlip.model import Checkpoint, build_graph, evaluate, load_checkpoint, save_checkpoint
from fisher_mlip.testing import ethanol

ELEMENTS = [1, 6, 8]
MakeCheckpoint = Callable[..., Checkpoint]
PLAIN = Options(
    kinds=("last-layer", "per-element", "all-layers"), look_outside=False, ridges=(1e-2, 1e-1)
)
HELD_OUT = range(9, 12)


@pytest.fixture(scope="module")
def base(random_checkpoint: MakeCheckpoint) -> Checkpoint:
    return random_checkpoint()


@pytest.fixture(scope="module")
def truth(
    random_checkpoint: MakeCheckpoint, labelled_by: Callable[..., Frames], ethanol_frames: Frames
) -> Frames:
    return labelled_by(random_checkpoint(seed=5), ethanol_frames)


def solved(base: Checkpoint, truth: Frames, rows: range, options: Options = PLAIN) -> Solution:
    return finetune(base, truth.subset(rows), truth.subset(HELD_OUT), options=options)


def saved(folder: Path, solution: Solution) -> Path:
    save_solution(folder, solution)
    return folder


def thetas(solution: Solution) -> list[FloatArray]:
    return [row.theta for candidate in solution.candidates for row in candidate.rows]


def assert_same(found: Solution, expected: Solution) -> None:
    """All sums, all solutions, the choice, and the forces of the model that is shipped."""
    for part in ("forces", "energies"):
        mine = getattr(found.gram.training, part)
        theirs = getattr(expected.gram.training, part)
        size = np.abs(theirs.gram).max()
        np.testing.assert_allclose(mine.gram, theirs.gram, atol=1e-12 * size)
        assert (mine.count, mine.weight) == (theirs.count, pytest.approx(theirs.weight))
    for mine, theirs in zip(found.candidates, expected.candidates, strict=True):
        forces = theirs.head.equations(expected.gram.training).forces
        for one, other in zip(mine.rows, theirs.rows, strict=True):
            # As a change of the forces, relative to what is left to explain of them.
            change = one.theta - other.theta
            square = float(change @ forces.gram @ change) / forces.weight
            assert np.sqrt(max(square, 0.0)) < 1e-10 * forces.rms()
            assert one.ridge == other.ridge
    assert found.brief()["training_hash"] == expected.brief()["training_hash"]
    assert (found.shipped.head, found.shipped.ridge) == (
        expected.shipped.head,
        expected.shipped.ridge,
    )
    graph = build_graph(Frame(*ethanol()), ELEMENTS, 3.0)
    models = [evaluate(each.checkpoint.network, graph) for each in (found, expected)]
    torch.testing.assert_close(models[0].forces, models[1].forces, atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(models[0].energies, models[1].energies, atol=1e-8, rtol=1e-8)


def test_adding_is_solving_all_at_once(tmp_path: Path, base: Checkpoint, truth: Frames) -> None:
    folder = saved(tmp_path, solved(base, truth, range(5)))
    found = update(*load_finetune(folder), truth.subset(range(5, 9)), "add", options=PLAIN)
    whole = solved(base, truth, range(9))
    assert_same(found, whole)
    assert sorted(found.gram.frames) == sorted(whole.gram.frames)
    with pytest.raises(AssertionError):
        assert_same(found, solved(base, truth, range(8)))


def test_removing_is_never_having_had_them(tmp_path: Path, base: Checkpoint, truth: Frames) -> None:
    folder = saved(tmp_path, solved(base, truth, range(9)))
    found = update(*load_finetune(folder), truth.subset(range(5, 9)), "remove", options=PLAIN)
    assert_same(found, solved(base, truth, range(5)))
    again = update(
        *load_finetune(saved(tmp_path, found)), truth.subset(range(5, 9)), "add", options=PLAIN
    )
    assert_same(again, solved(base, truth, range(9)))


def test_the_same_atoms_of_a_frame_are_taken_out_as_were_added(
    tmp_path: Path, base: Checkpoint, truth: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("drawn_atoms", "gram_file"):
        monkeypatch.setattr(f"fisher_mlip.fisher.{module}.FEWEST_ATOMS", 8)
    few = replace(PLAIN, rows_per_feature=1e-6)
    whole = solved(base, truth, range(9), few)
    forces = whole.gram.training.forces
    assert whole.gram.most_atoms == whole.gram.most_atoms_judging == 8
    assert forces.count == 9 * 8 * 3 < forces.components
    folder = saved(tmp_path, whole)
    found = update(*load_finetune(folder), truth.subset(range(5, 9)), "remove", options=PLAIN)
    assert_same(found, solved(base, truth, range(5), few))


def test_judges_are_added_and_never_solved_from(
    tmp_path: Path, base: Checkpoint, truth: Frames
) -> None:
    there = load_finetune(saved(tmp_path, solved(base, truth, range(5))))
    judge = truth.subset([8])
    found = update(*there, truth.subset([5]), "add", judging=judge, options=PLAIN)
    plain = update(*there, truth.subset([5]), "add", options=PLAIN)
    np.testing.assert_array_equal(found.gram.training.forces.gram, plain.gram.training.forces.gram)
    own = accumulate(base.network, judge, ELEMENTS).forces
    change = found.gram.held_out.forces - plain.gram.held_out.forces
    assert (change.count, change.weight) == (own.count, pytest.approx(own.weight))
    assert change.square == pytest.approx(own.square, rel=1e-6)
    assert found.base.held_out_force_rmse != plain.base.held_out_force_rmse
    for taken in ("add", "judging"):
        frames, judges = (judge, None) if taken == "add" else (truth.subset([6]), judge)
        with pytest.raises(InputError, match="1 of the 1 frames to add are among those held out"):
            update(*(there[0], found.gram), frames, "add", judging=judges, options=PLAIN)


def test_products_keep_the_channels_they_were_summed_with(
    tmp_path: Path, base: Checkpoint, truth: Frames
) -> None:
    """Channels chosen from the first frames serve the added ones too."""
    options = replace(PLAIN, kinds=("products",), budget=100)
    first = solved(base, truth, range(5), options)
    found = update(
        *load_finetune(saved(tmp_path, first)), truth.subset(range(5, 9)), "add", options=options
    )
    network = load_checkpoint(tmp_path).network
    assert network.head is not None
    assert all(np.array_equal(found.gram.mixing[n], m) for n, m in first.gram.mixing.items())
    network.head.theta.data.zero_()
    network.readout.data = torch.from_numpy(first.gram.readout)
    network.shift.data = torch.from_numpy(first.gram.shift)
    direct = accumulate(network, truth.subset(range(9)), ELEMENTS)
    size = np.abs(direct.forces.gram).max()
    np.testing.assert_allclose(
        found.gram.training.forces.gram, direct.forces.gram, atol=1e-12 * size
    )
    np.testing.assert_allclose(
        found.gram.training.forces.moment, direct.forces.moment, atol=1e-12 * size
    )


def test_the_same_scans_are_looked_at(tmp_path: Path, base: Checkpoint, truth: Frames) -> None:
    options = Options(kinds=("per-element",), ridges=(1e-4,), scan_weights=(0.0, 1e-2))
    first = solved(base, truth, range(3), options)
    assert first.gram.scans
    found = update(
        *load_finetune(saved(tmp_path, first)), truth.subset([3]), "add", options=options
    )
    assert found.base.barrier == pytest.approx(first.base.barrier)
    back = update(
        *load_finetune(saved(tmp_path, found)), truth.subset([3]), "remove", options=options
    )
    for one, other in zip(thetas(back), thetas(first), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8 * np.abs(other).max())


@pytest.mark.parametrize("summed", ["last-layer", "per-element"])
def test_heads_larger_than_the_one_summed_are_left_out(
    tmp_path: Path, base: Checkpoint, truth: Frames, summed: str
) -> None:
    kinds = PLAIN.kinds[: PLAIN.kinds.index(summed) + 1]  # type: ignore[arg-type]
    first = solved(base, truth, range(5), replace(PLAIN, kinds=kinds))
    saved(tmp_path, first)
    found = update(
        *load_finetune(tmp_path), truth.subset([5]), "add", options=replace(PLAIN, budget=100)
    )
    assert [c.head.config.kind for c in found.candidates] == list(kinds)
    save_checkpoint(tmp_path / "again", found.checkpoint)
    load_checkpoint(tmp_path / "again")
    with pytest.raises(InputError, match=f"no larger than the '{summed}' .* found products"):
        update(
            *load_finetune(tmp_path),
            truth.subset([5]),
            "add",
            options=replace(PLAIN, kinds=("products",)),
        )


def test_a_float32_model_summed_in_float64_is_still_the_same_model(
    tmp_path: Path, base: Checkpoint, truth: Frames
) -> None:
    config = base.config.model_copy(update={"dtype": "float32"})
    single = Checkpoint(copy.deepcopy(base.network).float(), config)
    parts = truth.subset(range(5)), truth.subset(HELD_OUT)
    save_solution(tmp_path, finetune(single, *parts, options=PLAIN, dtype="float64"))
    found = update(*load_finetune(tmp_path), truth.subset([5]), "add", options=PLAIN)
    assert found.gram.training.n_frames == 6


def test_virials_that_were_summed_are_summed_again(
    tmp_path: Path,
    base: Checkpoint,
    labelled_by: Callable[..., Frames],
    random_checkpoint: MakeCheckpoint,
    ethanol_frames: Frames,
) -> None:
    cell, pbc = np.diag([6.5, 6.0, 7.0]), np.ones(3, dtype=bool)
    boxed = tuple(replace(frame, cell=cell, pbc=pbc) for frame in ethanol_frames)
    truth = labelled_by(random_checkpoint(seed=5), Frames(boxed))
    options = replace(PLAIN, label_weights=LabelWeights(energy=1.0, virial=0.5))
    folder = saved(tmp_path, solved(base, truth, range(5), options))
    # The weights are those of before unless others are given.
    found = update(*load_finetune(folder), truth.subset(range(5, 9)), "add", options=PLAIN)
    expected = solved(base, truth, range(9), options)
    assert_same(found, expected)
    virials: list[NormalEquations] = [each.gram.training for each in (found, expected)]
    np.testing.assert_allclose(virials[0].virials.gram, virials[1].virials.gram, rtol=1e-9)
    assert virials[0].virials.count == 9 * 6
    other = replace(PLAIN, label_weights=LabelWeights(virial=5.0))
    changed = update(*load_finetune(folder), truth.subset(range(5, 9)), "add", options=other)
    assert changed.gram.label_weights == LabelWeights(virial=5.0)
    assert not np.allclose(changed.shipped.theta, found.shipped.theta)


def test_virials_that_were_not_summed_cannot_be_weighted(
    tmp_path: Path, base: Checkpoint, truth: Frames
) -> None:
    folder = saved(tmp_path, solved(base, truth, range(5)))
    options = replace(PLAIN, label_weights=LabelWeights(virial=1.0))
    with pytest.raises(InputError, match="no virials were summed by the finetune to go on from"):
        update(*load_finetune(folder), truth.subset([5]), "add", options=options)


def test_frames_that_are_there_cannot_be_added(
    tmp_path: Path, base: Checkpoint, truth: Frames
) -> None:
    folder = saved(tmp_path, solved(base, truth, range(5)))
    with pytest.raises(InputError, match="2 of the 3 frames to add are among those summed"):
        update(*load_finetune(folder), truth.subset([3, 4, 5]), "add", options=PLAIN)
    with pytest.raises(InputError, match="1 of the 2 frames to add are among those held out"):
        update(*load_finetune(folder), truth.subset([8, 9]), "add", options=PLAIN)
    # Another label does not make it another frame.
    bare = replace(truth, frames=tuple(f.relabelled(energy=None) for f in truth.subset([3, 9])))
    with pytest.raises(InputError, match="1 of the 2 frames to add are among those summed"):
        update(*load_finetune(folder), bare, "add", options=PLAIN)


def test_frames_that_are_not_there_cannot_be_removed(
    tmp_path: Path, base: Checkpoint, truth: Frames
) -> None:
    folder = saved(tmp_path, solved(base, truth, range(5)))
    for rows, missing in (([3, 5], "1 of the 2"), ([3, 3], "1 of the 2"), ([9], "1 of the 1")):
        with pytest.raises(InputError, match=f"{missing} frames to remove are not among those"):
            update(*load_finetune(folder), truth.subset(rows), "remove", options=PLAIN)
    with pytest.raises(InputError, match="keep at least one frame"):
        update(*load_finetune(folder), truth.subset(range(5)), "remove", options=PLAIN)


def test_another_models_sums_are_refused(
    tmp_path: Path, base: Checkpoint, truth: Frames, random_checkpoint: MakeCheckpoint
) -> None:
    saved(tmp_path, solved(base, truth, range(5)))
    save_checkpoint(tmp_path, random_checkpoint(seed=9))
    with pytest.raises(InputError, match="holds the normal equations of another model") as error:
        update(*load_finetune(tmp_path), truth.subset([5]), "add", options=PLAIN)
    assert "\n" not in str(error.value)


def test_a_checkpoint_without_sums_is_refused(
    tmp_path: Path, base: Checkpoint, truth: Frames
) -> None:
    save_checkpoint(tmp_path, base)
    with pytest.raises(InputError, match="expected normal equations in"):
        update(*load_finetune(tmp_path), truth.subset([5]), "add", options=PLAIN)


def test_weighted_sums_are_refused(tmp_path: Path, base: Checkpoint, truth: Frames) -> None:
    parts = truth.subset(range(5)), truth.subset(HELD_OUT)
    weighted = finetune(base, *parts, options=PLAIN, weights=np.arange(1.0, 6.0))
    with pytest.raises(InputError, match="frames were weighted when they were summed"):
        update(*load_finetune(saved(tmp_path, weighted)), truth.subset([5]), "add", options=PLAIN)
