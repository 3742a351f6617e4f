"""`finetune` with its options: what it prints, what it writes, what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from fisher_mlip.cli import app
from fisher_mlip.cli.info import describe
from fisher_mlip.config import ModelConfig
from fisher_mlip.data import Frames, write_frames
from fisher_mlip.fisher import LabelWeights
from fisher_mlip.fisher.gram_file import GRAM_NAME, load_gram
from fisher_mlip.model import (
    Checkpoint,
    CheckpointConfig,
    load_checkpoint,
    new_network,
    save_checkpoint,
)

FILES = [
    "config.yaml",
    "gram.safetensors",
    "metrics.json",
    "ridge_path.png",
    "summary.json",
    "weights.safetensors",
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, ethanol_frames: Frames) -> Path:
    """A tiny random model, on disk."""
    torch.manual_seed(0)
    config = CheckpointConfig(
        model=ModelConfig(
            features=4, max_degree=1, num_iterations=2, num_basis_functions=4, radial_width=4
        ),
        elements=[1, 6, 8],
        reference_energies=ethanol_frames.reference_energies,
        dtype="float64",
    )
    folder = tmp_path_factory.mktemp("checkpoint") / "base"
    save_checkpoint(folder, Checkpoint(new_network(config).eval(), config))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, ethanol_frames: Frames) -> Path:
    """first.xyz, more.xyz and judges.xyz: five, four and three frames."""
    folder = tmp_path_factory.mktemp("data")
    for name, rows in (("first", range(5)), ("more", range(5, 9)), ("judges", range(9, 12))):
        write_frames(folder / f"{name}.xyz", ethanol_frames.subset(rows))
    return folder


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["finetune", *(str(word) for word in words)])
    return result.exit_code, " ".join(result.output.split())


def solved(base: Path, data: Path, folder: Path, *options: object) -> dict[str, Any]:
    """Run on first.xyz, judged by judges.xyz; return the summary."""
    judges = ("--held-out", data / "judges.xyz")
    code, output = run(base, data / "first.xyz", *judges, "-o", folder, *options)
    assert code == 0, output
    return summary(folder)


def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return content


def kinds(found: dict[str, Any]) -> list[str]:
    return [head["head"] for head in found["heads"]]


def test_every_head_is_tried_and_the_tables_are_printed(
    tmp_path: Path, base: Path, data: Path
) -> None:
    judges = ("--held-out", data / "judges.xyz")
    code, output = run(base, data / "first.xyz", *judges, "-o", tmp_path / "head")
    assert code == 0, output
    for word in ("pretrained", "last-layer", "per-element", "all-layers", "products", "ridge path"):
        assert word in output
    assert "…" not in output, "a table wider than the terminal hides its numbers"
    assert "held-out force RMSE" in output
    assert "holes outside the data" in output
    assert sorted(path.name for path in (tmp_path / "head").iterdir()) == FILES
    assert all(f"wrote {tmp_path / 'head' / name}" in output for name in FILES)
    found = summary(tmp_path / "head")
    assert kinds(found) == ["last-layer", "per-element", "all-layers", "products"]
    name = "held_out_force_rmse_meV_A"
    assert found["chosen"][name] <= found["base"][name]
    assert found["kept_pretrained"] == (found["chosen"][name] == found["base"][name])
    assert found["chosen"]["barrier_eV"] >= found["base"]["barrier_eV"]
    shipped = "last-layer" if found["kept_pretrained"] else found["chosen"]["head"]
    assert load_checkpoint(tmp_path / "head").config.head.kind == shipped
    assert load_checkpoint(tmp_path / "head").metrics


def test_one_head_within_a_number_of_features(tmp_path: Path, base: Path, data: Path) -> None:
    options = ("--no-scans", "--head", "products", "--features")
    sizes = []
    for limit in (60, 100, 2500):
        found = solved(base, data, tmp_path / str(limit), *options, limit)
        assert kinds(found) == ["products"]
        sizes.append(found["heads"][0]["features"])
        assert sizes[-1] <= limit
        assert found["chosen"]["barrier_eV"] is None
    assert sizes[0] < sizes[1] < sizes[2]
    code, output = run(base, data / "first.xyz", *options, 20, "-o", tmp_path / "20")
    assert code == 2
    assert "features, found 20" in output


def test_energies_weigh_in(tmp_path: Path, base: Path, data: Path) -> None:
    options = ("--no-scans", "--head", "all-layers", "--ridge", 1e-6, "--energy-weight")
    plain, weighted = (
        solved(base, data, tmp_path / str(w), *options, w)["heads"][0]["path"][0] for w in (0, 1e4)
    )
    name = "training_energy_rmse_meV_atom"
    assert weighted[name] < 0.5 * plain[name]
    assert weighted["training_force_rmse_meV_A"] > plain["training_force_rmse_meV_A"]


def test_an_update_keeps_the_weight_that_is_not_given(
    tmp_path: Path, base: Path, data: Path
) -> None:
    options = ("--no-scans", "--head", "per-element", "--ridge", 1e-2)
    solved(base, data, tmp_path / "first", *options, "--energy-weight", 3)
    arguments = (data / "more.xyz", "--update", "add", "-o", tmp_path / "added", *options)
    code, output = run(tmp_path / "first", *arguments)
    assert code == 0, output
    assert load_gram(tmp_path / "added" / GRAM_NAME).label_weights == LabelWeights(energy=3.0)
    code, output = run(tmp_path / "first", *arguments, "--virial-weight", 0, "--overwrite")
    assert code == 0, output
    assert load_gram(tmp_path / "added" / GRAM_NAME).label_weights == LabelWeights(energy=3.0)


def test_virials_that_are_not_there_are_refused(tmp_path: Path, base: Path, data: Path) -> None:
    code, output = run(base, data / "first.xyz", "--virial-weight", 1, "-o", tmp_path / "head")
    assert code == 2
    assert "labels for the virial weight, found none" in output
    assert not (tmp_path / "head").exists()


def test_frames_are_added_and_removed(tmp_path: Path, base: Path, data: Path) -> None:
    options = ("--no-scans", "--head", "per-element", "--ridge", 1e-2)
    first = solved(base, data, tmp_path / "first", *options)
    added, back = tmp_path / "added", tmp_path / "back"
    more = data / "more.xyz"
    code, output = run(tmp_path / "first", more, "--update", "add", "-o", added, *options)
    assert code == 0, output
    code, output = run(added, more, "--update", "remove", "-o", back, *options)
    assert code == 0, output
    assert (first["frames"], summary(added)["frames"], summary(back)["frames"]) == (5, 9, 5)
    name = "training_force_rmse_meV_A"
    rows = [s["heads"][0]["path"][0][name] for s in (first, summary(added), summary(back))]
    assert rows[2] == pytest.approx(rows[0], rel=1e-9)
    assert rows[1] != pytest.approx(rows[0], rel=1e-3)
    assert sorted(path.name for path in back.iterdir()) == FILES

    for folder, how, said in (
        (added, "add", "4 of the 4 frames to add are among those summed"),
        (back, "remove", "4 of the 4 frames to remove are not among those summed"),
        (base, "add", "expected normal equations in"),
    ):
        code, output = run(folder, more, "--update", how, "-o", tmp_path / "no", *options)
        assert code == 2
        assert said in output
    code, output = run(added, data / "judges.xyz", "--update", "add", "-o", tmp_path / "no")
    assert code == 2
    assert "3 of the 3 frames to add are among those held out" in output
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    "beside", [("--reweight", 300, 310), ("--dtype", "float64"), ("--held-out", "judges.xyz")]
)
def test_what_the_sums_settled_is_refused_with_an_update(
    tmp_path: Path, base: Path, data: Path, beside: tuple[object, ...]
) -> None:
    code, output = run(base, data / "more.xyz", "--update", "add", *beside, "-o", tmp_path / "no")
    assert code == 2
    assert f"expected no {beside[0]} with --update" in output


def test_a_finetune_is_not_finetuned_again(tmp_path: Path, base: Path, data: Path) -> None:
    solved(base, data, tmp_path / "once", "--no-scans", "--head", "all-layers", "--ridge", 1e-4)
    code, output = run(tmp_path / "once", data / "more.xyz", "-o", tmp_path / "twice")
    assert code == 2
    assert "expected a checkpoint without a head, found one with 'all-layers'" in output


def test_frames_are_reweighted_to_another_temperature(
    tmp_path: Path, base: Path, ethanol_frames: Frames
) -> None:
    many = ethanol_frames.subset([*range(12), *range(12)])
    shaken = tuple(
        frame.relabelled(energy=(frame.energy or 0.0) + 1e-3 * k) for k, frame in enumerate(many)
    )
    frames, judges = tmp_path / "frames.xyz", tmp_path / "judges.xyz"
    write_frames(frames, Frames(shaken, ethanol_frames.reference_energies))
    turned = ethanol_frames[0].positions[:, [1, 2, 0]], ethanol_frames[0].forces[:, [1, 2, 0]]
    judge = replace(ethanol_frames[0], positions=turned[0], forces=turned[1])
    write_frames(judges, Frames((judge,), ethanol_frames.reference_energies))
    options = (frames, "--held-out", judges, "--no-scans", "--head", "last-layer", "--reweight")
    code, output = run(base, *options, 300, 301, "-o", tmp_path / "near")
    assert code == 0, output
    assert "24 frames at 300 K count as" in output
    assert "at 301 K" in output
    code, output = run(base, *options, 300, 30, "-o", tmp_path / "far")
    assert code == 2
    assert "effective frames, expected at least 20: sample nearer" in output
    code, output = run(tmp_path / "near", frames, "--update", "remove", "-o", tmp_path / "less")
    assert code == 2
    assert "frames were weighted when they were summed" in output


def test_the_worst_points_are_labelled_and_added(base: Path, data: Path, tmp_path: Path) -> None:
    plain = solved(base, data, tmp_path / "plain", "--head", "all-layers")
    options = ("--head", "all-layers", "--calculator", "opls-ethanol", "--worst", "6")
    labelled = solved(base, data, tmp_path / "labelled", *options)
    assert plain["base"]["holes"] > 0
    assert plain["frames"] < labelled["frames"] <= plain["frames"] + 6


def test_a_calculator_that_is_not_there_is_refused_first(
    base: Path, data: Path, tmp_path: Path
) -> None:
    target = tmp_path / "refused"
    code, output = run(base, data / "first.xyz", "--calculator", "nothing:There", "-o", target)
    assert code == 2
    assert "nothing" in output
    assert "Jacobians" not in output
    assert not target.exists()


def test_inputs_are_not_overwritten(base: Path, data: Path, tmp_path: Path) -> None:
    judges = ("--held-out", data / "judges.xyz", "--overwrite")
    for output in (data / "first.xyz", data / "judges.xyz", data, base, base.parent):
        code, said = run(base, data / "first.xyz", *judges, "-o", output)
        assert code == 2
        assert "name another output" in said
    assert (data / "first.xyz").is_file()
    assert (base / "weights.safetensors").is_file()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--calculator", "emt", "--no-scans"), "expected no --no-scans with it"),
        (("--calculator", "emt", "--reweight", 500, 400), "expected no --reweight with"),
        (("--calculator-option", "a=1"), "expected --calculator beside --calculator-option"),
        (("--worst", 10), "expected --calculator beside --worst"),
        (("--energy-weight", "inf"), "expected a finite energy weight"),
    ],
)
def test_options_that_cannot_go_together_are_refused(
    base: Path, data: Path, tmp_path: Path, options: tuple[object, ...], sentence: str
) -> None:
    judges = ("--held-out", data / "judges.xyz", "-o", tmp_path / "out")
    code, said = run(base, data / "first.xyz", *judges, *options)
    assert code == 2
    assert sentence in said
    assert not (tmp_path / "out").exists()


def test_info_knows_the_normal_equations(base: Path, data: Path, tmp_path: Path) -> None:
    solved(base, data, tmp_path / "head", "--head", "per-element", "--no-scans")
    facts = describe(tmp_path / "head" / "gram.safetensors")
    assert facts["kind"].startswith("normal equations")
    assert (facts["frames"], facts["held-out frames"]) == (5, 3)


def test_one_frame_is_plotted_without_complaint(
    base: Path, ethanol_frames: Frames, data: Path, tmp_path: Path
) -> None:
    """Fewer rows than features: training errors of zero have no logarithm."""
    write_frames(tmp_path / "one.xyz", ethanol_frames.subset([0]))
    judges = ("--held-out", data / "judges.xyz", "--no-scans", "--head", "products")
    code, said = run(base, tmp_path / "one.xyz", *judges, "-o", tmp_path / "one")
    assert code == 0, said
    assert (tmp_path / "one" / "ridge_path.png").stat().st_size > 1000
