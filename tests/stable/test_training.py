"""Trainings from end to end on a tiny network: what they write, resumed or not, and refuse."""

import csv
import json
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fisher_mlip.cli import app
from fisher_mlip.data import Frames, write_frames
from fisher_mlip.errors import InputError
from fisher_mlip.model import load_checkpoint
from fisher_mlip.stable import StableConfig, resume_stable, train_stable
from fisher_mlip.stable.phase import Phase
from fisher_mlip.stable.prior import load_prior
from fisher_mlip.stable.problem import make_problem
from fisher_mlip.stable.records import COLUMNS, Row, State, best_of
from fisher_mlip.stable.training import iterate

from .conftest import HOT, MakeConfig

FILES = [
    *("config.yaml", "metrics.json", "stable.csv", "stable.png", "stable.yaml"),
    *("state.safetensors", "summary.json", "weights.safetensors"),
]


def command(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["stable", *(str(word) for word in words)])
    return result.exit_code, " ".join(result.output.split())


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "stable.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def whole(finetuned: Path, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two iterations by the command; bonds may move little, so that replicas are lost."""
    folder = tmp_path_factory.mktemp("whole") / "stable"
    code, output = command(finetuned, *words(reference), "--iterations", 2, "-o", folder)
    assert code == 0, output
    assert "iteration 0: stable for" in output
    assert "predicted chi2" in output
    assert f"wrote {folder / 'weights.safetensors'}" in output
    return folder


def words(reference: Path) -> list[object]:
    """Return the options of a short training."""
    return [
        *("--reference", reference, "--temperature", HOT, "--held-out", reference),
        *("--replicas", 8, "--stable-ps", 0.06, "--platform", "Reference"),
        *("--look-interval", 2, "--frame-interval", 1, "--bond-deviation", 0.4),
        *("--margin-ps", 0.005),
    ]


def test_a_training_takes_a_step_and_tells_it(whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == FILES
    first, second = rows_of(whole)
    assert 0.5 <= float(first["ESS over frames"]) <= 1.0
    limit = 1.05 * float(first["Held-out force RMSE (meV/Å)"])
    assert float(second["Held-out force RMSE (meV/Å)"]) <= limit
    assert float(first["Held-out force MAE (meV/Å)"]) > 0.0
    assert float(first["Predicted chi2"]) < float(first["chi2"])
    state = State.read(whole)
    assert len(state.zs) >= 2
    assert np.abs(state.zs[1]).max() > 0.0


def test_the_product_is_a_checkpoint_of_the_best_iteration(whole: Path, finetuned: Path) -> None:
    summary = json.loads((whole / "summary.json").read_text())
    made, prior = load_checkpoint(whole), load_prior(finetuned)
    assert made.config.provenance["stable"]["temperature"] == HOT
    assert made.network.head is not None
    zs = State.read(whole).zs
    theta = made.network.head.theta.detach().numpy().ravel()
    np.testing.assert_allclose(theta, prior.theta(zs[summary["best"]["iteration"]]))
    other = prior.theta(zs[1 - summary["best"]["iteration"]])
    assert np.abs(theta - other).max() > 1e-6


def test_what_is_there_is_not_replaced(whole: Path, finetuned: Path, reference: Path) -> None:
    code, output = command(finetuned, *words(reference), "-o", whole)
    assert (code, "exists: name another one or pass --overwrite" in output) == (2, True)


def test_a_resumed_training_is_the_uninterrupted_one(
    whole: Path, finetuned: Path, reference: Path, tmp_path: Path
) -> None:
    code, output = command(finetuned, *words(reference), "--iterations", 1, "-o", tmp_path / "one")
    assert code == 0, output
    code, output = command("--resume", "--iterations", 2, "-o", tmp_path / "one")
    assert code == 0, output
    before, after = State.read(whole), State.read(tmp_path / "one")
    np.testing.assert_array_equal(before.zs, after.zs)
    assert [row.chi2 for row in before.rows] == [row.chi2 for row in after.rows]
    # What is done stays done.
    assert len(resume_stable(tmp_path / "one").rows) == 2
    with pytest.raises(InputError, match="expected 2 iterations or more"):
        resume_stable(tmp_path / "one", iterations=1)


@pytest.fixture(scope="module")
def lasting(
    finetuned: Path, reference: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A training that has nothing to do, and a reference of its own."""
    place = tmp_path_factory.mktemp("lasting")
    shutil.copy(reference, place / "frames.xyz")
    config = StableConfig(
        finetuned=str(finetuned),
        reference=str(place / "frames.xyz"),
        temperature=HOT,
        replicas=2,
        stable_ps=0.004,
        bond_deviation=2.0,
        temperature_ratio=20.0,
        look_interval=2,
        frame_interval=1,
        platform="Reference",
    )
    state = train_stable(config, place / "stable")
    assert state.ending == "every replica was stable for 0.004 ps"
    assert len(state.rows) == 1
    return place / "stable", place / "frames.xyz"


def test_a_stable_model_is_left_as_it_is(lasting: tuple[Path, Path], finetuned: Path) -> None:
    before, after = load_checkpoint(finetuned), load_checkpoint(lasting[0])
    for name, value in before.network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), after.network.state_dict()[name].numpy())


def test_what_cannot_be_resumed(lasting: tuple[Path, Path], tmp_path: Path) -> None:
    code, output = command("--resume", "-o", tmp_path / "absent")
    assert (code, "expected a StABlE training to resume" in output) == (2, True)
    code, output = command("--resume", "-o", tmp_path / "absent", "--temperature", 300)
    assert (code, "--temperature is settled by the training" in output) == (2, True)
    folder, own = lasting
    text = own.read_text()
    own.write_text(text.replace("0.", "0.0", 1))
    code, output = command("--resume", "-o", folder)
    assert (code, "its content has changed" in output) == (2, True)
    own.write_text(text)
    torn = tmp_path / "torn"
    shutil.copytree(folder, torn)
    (torn / "state.safetensors").write_bytes(b"torn")
    code, output = command("--resume", "-o", torn)
    assert (code, "expected a training's state" in output) == (2, True)


def test_replicas_lost_at_once_teach_nothing(
    short: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = make_problem(short(replicas=3))
    none = problem.starts.chosen(np.zeros(0, dtype=np.int64))
    phase = Phase(none, np.full(3, 0.001), np.ones(3, dtype=bool), 2)
    monkeypatch.setattr("fisher_mlip.stable.training._simulated", lambda *_: phase)
    zs = np.zeros((1, problem.prior.factor.shape[1]))
    state = iterate(problem, State({}, (), zs))
    assert "lost too soon: 0.0 independent frames" in state.ending
    assert (len(state.rows), len(state.zs)) == (1, 1)


def row(iteration: int, median: float, rmse: float, lost: float = 0.5) -> Row:
    rest = {field.name: 0.0 for field in fields(Row)}
    known = {"iteration": iteration, "median_ps": median, "held_out_rmse": rmse, "errors": {}}
    return Row(**(rest | known | {"fraction_lost": lost}))  # type: ignore[arg-type]


def test_the_best_is_the_longest_stable_within_the_tolerance() -> None:
    rows = (row(0, 1.0, 100.0), row(1, 3.0, 104.0), row(2, 5.0, 106.0), row(3, 3.0, 104.0, 0.2))
    assert best_of(rows, 105.0).iteration == 3
    assert best_of(rows, 107.0).iteration == 2
    assert best_of(rows, 101.0).iteration == 0


def test_every_number_of_a_row_has_a_column() -> None:
    assert {field.name for field in fields(Row)} - {"errors"} == set(COLUMNS)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"--reference": "absent.xyz"}, "expected reference frames or a run folder"),
        ({"--temperature": "0"}, "'temperature' in the options: input should be greater than 0"),
        ({"--observable": "rdf"}, "expected observables of this system (distances, bonds)"),
        ({"--start-frames": "water"}, "expected the reference's atoms, in its order"),
        ({"--reference": "water"}, "expected 10 configurations or more in the reference"),
        ({"--reference": "sulfur"}, "the model knows the elements H, C, O, found also S"),
        ({"--reference": "two"}, "found 2 molecules by their bonds and no box"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    finetuned: Path,
    reference: Path,
    tmp_path: Path,
    ethanol_frames: Frames,
    changed: dict[str, str],
    sentence: str,
) -> None:
    options = {"--reference": str(reference), "--temperature": "300"} | changed
    files = bad_frames(tmp_path, ethanol_frames)
    words = [word for name, value in options.items() for word in (name, files.get(value, value))]
    code, output = command(finetuned, *words, "-o", tmp_path / "out")
    assert (code, sentence in output) == (2, True), output
    assert not (tmp_path / "out").exists()


def bad_frames(folder: Path, frames: Frames) -> dict[str, Path]:
    """Write frames that cannot be used: another molecule, another element, two molecules."""
    first = frames[0].relabelled(energy=None, forces=None)
    water = type(first)(first.atomic_numbers[[2, 3, 4]], np.eye(3) * 0.9)
    sulfur = type(first)(
        np.where(first.atomic_numbers == 8, 16, first.atomic_numbers), first.positions
    )
    two = type(first)(
        np.tile(first.atomic_numbers, 2), np.concatenate([first.positions, first.positions + 9.0])
    )
    made = {}
    for name, frame, n in (("water", water, 3), ("sulfur", sulfur, 12), ("two", two, 12)):
        made[name] = folder / f"{name}.xyz"
        write_frames(made[name], Frames((frame,) * n))
    return made


def test_what_is_no_finetune_is_refused(finetuned: Path, reference: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(finetuned, bare)
    (bare / "gram.safetensors").unlink()
    words = ("--reference", reference, "--temperature", 300, "-o", tmp_path / "out")
    code, output = command(bare, *words)
    assert code == 2
    assert "only what `finetune` has made" in output
    code, output = command("--reference", reference)
    assert (code, "expected FINETUNED and --temperature, found none" in output) == (2, True)
    assert not (tmp_path / "out").exists()
