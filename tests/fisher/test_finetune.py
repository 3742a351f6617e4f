"""The finetune as a whole: recovery through a network, what is kept, what is refused, files."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fisher_mlip.config import HeadConfig, HeadKind
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher import LabelWeights, Options, Solution, finetune, save_solution
from fisher_mlip.fisher.gram_file import frame_hashes
from fisher_mlip.fisher.heads import attach_head, set_theta
from fisher_mlip.fisher.nesting import KINDS
from fisher_mlip.fisher.report import head_rows, path_rows, sentences
from fisher_mlip.model import Checkpoint, build_graph, evaluate, load_checkpoint

ELEMENTS = [1, 6, 8]
MakeCheckpoint = Callable[..., Checkpoint]
LabelledBy = Callable[..., Frames]
PLAIN = Options(look_outside=False, ridges=(0.0, 1e-6, 1e-2))


def parts(frames: Frames) -> tuple[Frames, Frames]:
    return frames.subset(range(9)), frames.subset(range(9, 12))


def with_theta(base: Checkpoint, kind: HeadKind, frames: Frames) -> Checkpoint:
    """Return the model plus a random function of a head's features."""
    made = Checkpoint(copy.deepcopy(base.network), base.config)
    channels = 2 if kind == "products" else 0
    config = HeadConfig(kind=kind, product_channels=channels)
    attach_head(made.network, config, base.config.model, frames, ELEMENTS)
    head = made.network.head
    n = len(made.network.readout) if head is None else head.theta.numel()
    set_theta(made.network, 0.1 * np.random.default_rng(0).normal(size=n))
    return made


def assert_recovered(found: Checkpoint, truth: Frames) -> None:
    """The model that is shipped gives the forces and the energies of the truth."""
    for frame in truth:
        model = evaluate(found.network, build_graph(frame, ELEMENTS, 3.0))
        assert frame.forces is not None
        assert frame.energy is not None
        np.testing.assert_allclose(model.forces.numpy(), frame.forces, atol=2e-5)
        np.testing.assert_allclose(float(model.energies[0]), frame.energy, atol=1e-5)


@pytest.mark.parametrize("kind", ["last-layer", "per-element", "all-layers", "products"])
def test_an_energy_linear_in_the_features_is_found_again(
    random_checkpoint: MakeCheckpoint,
    labelled_by: LabelledBy,
    ethanol_frames: Frames,
    kind: HeadKind,
) -> None:
    """Through a real network, with every smaller head tried as well and found wanting."""
    base = random_checkpoint()
    truth = labelled_by(with_theta(base, kind, parts(ethanol_frames)[0]), ethanol_frames)
    with pytest.raises(AssertionError):
        assert_recovered(base, truth)
    options = replace(PLAIN, kinds=KINDS[: KINDS.index(kind) + 1], budget=100)
    solution = finetune(base, *parts(truth), options=options)
    assert solution.checkpoint.config.head.kind == kind
    assert solution.base.held_out_force_rmse > 1e-3
    assert solution.shipped.held_out_force_rmse < 1e-5
    assert_recovered(solution.checkpoint, truth)
    spoiled = copy.deepcopy(solution.checkpoint)
    spoiled.network.shift.data[0] += 1e-4
    with pytest.raises(AssertionError):
        assert_recovered(spoiled, truth)


@pytest.fixture(scope="module")
def disturbed(
    random_checkpoint: MakeCheckpoint, labelled_by: LabelledBy, ethanol_frames: Frames
) -> tuple[Checkpoint, Frames]:
    """A model, and frames labelled by it with another function of all its layers."""
    base = random_checkpoint()
    return base, labelled_by(with_theta(base, "all-layers", ethanol_frames), ethanol_frames)


@pytest.fixture(scope="module")
def solution(disturbed: tuple[Checkpoint, Frames]) -> Solution:
    """With scans, as the command makes it."""
    return finetune(disturbed[0], *parts(disturbed[1]), options=Options(budget=100))


def test_the_numbers_are_those_of_the_model_that_is_shipped(
    solution: Solution, disturbed: tuple[Checkpoint, Frames]
) -> None:
    assert solution.chosen is not None
    errors = []
    for frame in parts(disturbed[1])[1]:
        graph = build_graph(frame, ELEMENTS, 3.0)
        assert frame.forces is not None
        errors.append(evaluate(solution.checkpoint.network, graph).forces.numpy() - frame.forces)
    direct = float(np.sqrt(np.mean(np.square(errors))))
    assert solution.shipped.held_out_force_rmse == pytest.approx(direct, rel=1e-6, abs=1e-9)
    assert not solution.shipped.barrier < solution.base.barrier
    brief = solution.checkpoint.config.provenance["fisher"]
    hashes = sorted(frame_hashes(parts(disturbed[1])[0]))
    assert brief["training_hash"] == hashlib.sha256("".join(hashes).encode()).hexdigest()
    assert (brief["frames"], brief["force_components"]) == (9, 9 * 27)
    metric = solution.checkpoint.metrics["held_out_force_rmse_meV_A"]
    assert metric == 1e3 * solution.shipped.held_out_force_rmse


def test_the_base_is_left_alone(
    solution: Solution, disturbed: tuple[Checkpoint, Frames], random_checkpoint: MakeCheckpoint
) -> None:
    assert solution.checkpoint.network is not disturbed[0].network
    before = random_checkpoint().network.state_dict()
    after = disturbed[0].network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_tables_and_sentences_tell_the_numbers(solution: Solution) -> None:
    for _, columns, rows in (head_rows(solution), path_rows(solution)):
        assert rows
        assert all(len(row) == len(columns) for row in rows)
    chosen = [row for row in head_rows(solution)[2] if row[0].endswith("*")]
    assert [row[0] for row in chosen] == [f"{solution.shipped.head.name} *"]
    said = " ".join(sentences(solution))
    assert f"{1000 * solution.shipped.held_out_force_rmse:.2f} meV/Å" in said
    assert "rank" in said
    assert "holes outside the data" in said
    rows = [row for candidate in solution.candidates for row in candidate.rows]
    least = min(row.held_out_force_rmse for row in rows)
    told = f"least held-out force RMSE of all: {1000 * least:.2f} meV/Å"
    assert (told in said) == (least < solution.shipped.held_out_force_rmse)
    reasons = ("holes, barrier", "degrees of freedom")
    assert all(any(r in line for r in reasons) for line in sentences(solution) if told in line)
    assert f"of {len(solution.along.scans)} scans" in head_rows(solution)[0]


def test_saved_it_is_the_same_model(tmp_path: Path, solution: Solution) -> None:
    paths = save_solution(tmp_path, solution)
    names = {"config.yaml", "gram.safetensors", "metrics.json", "weights.safetensors"}
    assert {path.name for path in paths} == names
    again = load_checkpoint(tmp_path).network
    frame = solution.gram.scans[0].points[0]
    graph = build_graph(frame, ELEMENTS, 3.0)
    expected = evaluate(solution.checkpoint.network, graph)
    assert torch.equal(evaluate(again, graph).forces, expected.forces)


def noise(frames: Frames, scale: float, seed: int = 0) -> Frames:
    rng = np.random.default_rng(seed)
    labels = [frame.relabelled(forces=scale * rng.normal(size=(9, 3))) for frame in frames]
    return replace(frames, frames=tuple(labels))


def test_the_base_is_kept_where_nothing_helps(
    random_checkpoint: MakeCheckpoint, labelled_by: LabelledBy, ethanol_frames: Frames
) -> None:
    """Noise to solve from, and the model's own forces to judge by; energies are off by 2.5 eV.

    Kept is kept: its energies are not shifted either, and the table has them as they are.
    """
    base = random_checkpoint()
    truth = labelled_by(base, ethanol_frames, offset=2.5)
    solution = finetune(base, noise(truth.subset([0, 1]), 50.0), truth.subset([2]), options=PLAIN)
    assert solution.chosen is None
    assert solution.summary()["kept_pretrained"] is True
    assert "it is kept" in " ".join(sentences(solution))
    assert solution.checkpoint.config.head == HeadConfig()
    assert torch.equal(solution.checkpoint.network.readout, base.network.readout)
    graph = build_graph(truth[2], ELEMENTS, 3.0)
    energy = float(evaluate(solution.checkpoint.network, graph).energies[0])
    assert truth[2].energy is not None
    assert energy == pytest.approx(truth[2].energy - 2.5, abs=1e-9)
    assert solution.base.held_out_energy_rmse == pytest.approx(2.5 / truth[2].n_atoms)


def test_a_second_finetune_that_changes_nothing_still_loads(
    tmp_path: Path,
    random_checkpoint: MakeCheckpoint,
    labelled_by: LabelledBy,
    ethanol_frames: Frames,
) -> None:
    """The sampled heads of the first are not those of the second, which has none."""
    base = random_checkpoint()
    options = replace(PLAIN, kinds=("last-layer",))
    truth = labelled_by(with_theta(base, "last-layer", ethanol_frames), ethanol_frames)
    first = finetune(base, *parts(truth), options=options).checkpoint
    assert first.config.sampled_heads > 0
    second = finetune(first, noise(truth.subset([0]), 50.0), truth.subset([1]), options=options)
    assert second.chosen is None
    save_solution(tmp_path, second)
    assert load_checkpoint(tmp_path).config.sampled_heads == 0


def test_fewer_rows_than_features_solve_within_their_rank_and_say_so(
    disturbed: tuple[Checkpoint, Frames],
) -> None:
    base, truth = disturbed
    options = replace(PLAIN, kinds=("products",), budget=100, ridges=(0.0,))
    solution = finetune(base, truth.subset([0]), truth.subset([1, 2]), options=options)
    rank, size = solution.candidates[0].spectrum.rank, solution.gram.training.n_features
    # 27 force components less translations and rotations.
    assert 0 < rank <= 21 < size
    assert solution.candidates[0].rows[0].training_force_rmse < 1e-6
    if solution.chosen is not None:
        assert f"rank {rank} of {size}" in " ".join(sentences(solution))


def test_frames_without_energies_still_solve(disturbed: tuple[Checkpoint, Frames]) -> None:
    base, truth = disturbed
    bare = Frames(tuple(frame.relabelled(energy=None) for frame in truth), {}, "no energies")
    solution = finetune(base, *parts(bare), options=PLAIN)
    assert solution.chosen is not None
    assert torch.equal(solution.checkpoint.network.shift, base.network.shift)
    assert solution.summary()["chosen"]["held_out_energy_rmse_meV_atom"] is None
    with pytest.raises(InputError, match="labels for the energy weight, found none"):
        weighted = replace(PLAIN, label_weights=LabelWeights(energy=1.0))
        finetune(base, *parts(bare), options=weighted)


def test_energies_are_relative_to_the_models_own_atoms(
    disturbed: tuple[Checkpoint, Frames],
) -> None:
    base, truth = disturbed
    for references in ({}, {1: 5.0, 6: 7.0, 8: 9.0}):
        own = finetune(base, *parts(truth), options=PLAIN)
        other = finetune(base, *parts(replace(truth, reference_energies=references)), options=PLAIN)
        assert torch.equal(other.checkpoint.network.shift, own.checkpoint.network.shift)


def test_features_in_float64_leave_a_float32_model_float32(
    disturbed: tuple[Checkpoint, Frames],
) -> None:
    base, truth = disturbed
    config = base.config.model_copy(update={"dtype": "float32"})
    single = Checkpoint(copy.deepcopy(base.network).float(), config)
    options = replace(PLAIN, ridges=(1e-3,), kinds=("all-layers",))
    plain = finetune(single, *parts(truth), options=options)
    careful = finetune(single, *parts(truth), options=options, dtype="float64")
    assert {p.dtype for p in careful.checkpoint.network.parameters()} == {torch.float32}
    grams = [solution.gram.training.forces.gram for solution in (plain, careful)]
    assert 0 < np.abs(grams[0] - grams[1]).max() < 1e-4 * np.abs(grams[1]).max()


def test_a_checkpoint_with_a_head_is_refused(
    solution: Solution, disturbed: tuple[Checkpoint, Frames]
) -> None:
    assert solution.checkpoint.config.head.kind != "last-layer"
    with pytest.raises(InputError, match="expected a checkpoint without a head, found one with"):
        finetune(solution.checkpoint, *parts(disturbed[1]), options=PLAIN)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"forces": None}, "expected forces in every frame"),
        ({"forces": np.full((9, 3), np.nan)}, "expected finite frames"),
        ({"positions": np.full((9, 3), np.nan)}, "expected (finite frames|positions within)"),
        ({"atomic_numbers": np.full(9, 16)}, "knows the elements H, C, O, found also S"),
    ],
)
@pytest.mark.parametrize("place", [0, 1])
def test_frames_that_cannot_be_solved_from_are_refused(
    disturbed: tuple[Checkpoint, Frames], change: dict[str, object], sentence: str, place: int
) -> None:
    base, truth = disturbed
    chosen = list(parts(truth))
    bad: Frame = replace(chosen[place][1], **change)  # type: ignore[arg-type]
    chosen[place] = replace(truth, frames=(chosen[place][0], bad))
    for options in (PLAIN, Options(budget=100)):
        with pytest.raises(InputError, match=sentence) as error:
            finetune(base, *chosen, options=options)
        assert "\n" not in str(error.value)


def test_a_budget_that_no_product_fits_in_is_refused(disturbed: tuple[Checkpoint, Frames]) -> None:
    with pytest.raises(InputError, match=r"a budget of at least \d+ features, found 20"):
        finetune(disturbed[0], *parts(disturbed[1]), options=replace(PLAIN, budget=20))


def test_one_frame_beyond_all_others_counts_for_less_and_is_said(
    disturbed: tuple[Checkpoint, Frames],
) -> None:
    training, held_out = parts(disturbed[1])
    first = held_out[0]
    assert first.forces is not None
    odd = Frames((first.relabelled(forces=50.0 * first.forces), *held_out.subset([1, 2])))
    odd = replace(held_out, frames=odd.frames)
    options = replace(PLAIN, kinds=("last-layer",))
    found = finetune(disturbed[0], training, odd, options=options)
    told = finetune(disturbed[0], training, held_out, options=options)
    assert any("count for less" in line for line in sentences(found))
    assert not any("count for less" in line for line in sentences(told))
    assert found.held_out_errors is not None
    # Counted alike, that frame is nearly all there is.
    assert found.held_out_errors[0].force_rmse > 2.0 * found.base.held_out_force_rmse
    assert told.held_out_errors is not None
    assert told.held_out_errors[0].force_rmse == pytest.approx(told.base.held_out_force_rmse)
    assert told.held_out_errors[1].force_rmse == pytest.approx(told.shipped.held_out_force_rmse)
    assert found.brief()["held_out_weight"] < 1.0
