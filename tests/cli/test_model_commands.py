"""`finetune` and `export` from the command line: what they write, and what they refuse."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fisher_mlip.cli import app
from fisher_mlip.data import Frames, write_frames
from fisher_mlip.fisher.nesting import KINDS
from fisher_mlip.fisher.selection import RIDGES
from fisher_mlip.model import Checkpoint, save_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path, fitted_checkpoint: Checkpoint) -> Path:
    save_checkpoint(tmp_path / "base", fitted_checkpoint)
    return tmp_path / "base"


@pytest.fixture
def data(tmp_path: Path, ethanol_frames: Frames) -> Path:
    write_frames(tmp_path / "frames.xyz", ethanol_frames)
    return tmp_path / "frames.xyz"


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def test_finetune_then_export(tmp_path: Path, checkpoint: Path, data: Path) -> None:
    code, output = run("finetune", checkpoint, data, "-o", tmp_path / "head")
    assert code == 0, output
    assert "held-out force RMSE" in output
    summary = json.loads((tmp_path / "head" / "summary.json").read_text())
    assert [head["head"] for head in summary["heads"]] == list(KINDS)
    assert {row["ridge"] for row in summary["heads"][0]["path"]} == set(RIDGES)
    assert (tmp_path / "head" / "ridge_path.png").stat().st_size > 1000

    without = ("--no-certify",)
    code, output = run(
        "export", tmp_path / "head", "--frames", data, *without, "-o", tmp_path / "out"
    )
    assert code == 0, output
    assert "fused operators: forces within" in output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert 0.0 < summary["fused"]["force_difference"] < 1e-8
    parity = summary["parity"]
    assert parity["frames"] == 3 + 12
    assert parity["force_difference"] < 1e-8
    assert f"wrote {tmp_path / 'out' / 'model.pt'}" in output


def test_a_given_ridge_is_used_as_it_is(tmp_path: Path, checkpoint: Path, data: Path) -> None:
    code, output = run(
        "finetune", checkpoint, data, "--ridge", 0.25, "--no-scans", "-o", tmp_path / "head"
    )
    assert code == 0, output
    summary = json.loads((tmp_path / "head" / "summary.json").read_text())
    assert {row["ridge"] for head in summary["heads"] for row in head["path"]} == {0.25}


def test_an_output_that_exists_is_refused_and_left(checkpoint: Path, data: Path) -> None:
    before = sorted(path.name for path in checkpoint.iterdir())
    for command in (("finetune", checkpoint, data), ("export", checkpoint)):
        code, output = run(*command, "-o", checkpoint)
        assert code == 2
        assert "exists: name another one or pass --overwrite" in output
    assert sorted(path.name for path in checkpoint.iterdir()) == before


def test_an_element_the_model_has_not_seen_is_named(
    tmp_path: Path, checkpoint: Path, ethanol_frames: Frames
) -> None:
    frame = ethanol_frames[0]
    numbers = frame.atomic_numbers.copy()
    numbers[2] = 16
    strange = [frame, frame.relabelled(), frame]
    strange[1] = type(frame)(numbers, frame.positions, energy=frame.energy, forces=frame.forces)
    references = ethanol_frames.reference_energies | {16: -10831.0}
    write_frames(tmp_path / "sulfur.xyz", Frames(tuple(strange), references, "sulfur"))
    code, output = run(
        "finetune", checkpoint, tmp_path / "sulfur.xyz", "--trust-units", "-o", tmp_path / "head"
    )
    assert code == 2
    assert "the model knows the elements H, C, O, found also S" in output
    assert not (tmp_path / "head").exists()


def test_frames_without_forces_are_refused(
    tmp_path: Path, checkpoint: Path, ethanol_frames: Frames
) -> None:
    bare = tuple(frame.relabelled(forces=None) for frame in ethanol_frames)
    write_frames(tmp_path / "bare.xyz", Frames(bare, ethanol_frames.reference_energies, "bare"))
    code, output = run("finetune", checkpoint, tmp_path / "bare.xyz", "-o", tmp_path / "head")
    assert code == 2
    assert "forces" in output
    assert not (tmp_path / "head").exists()


def test_cuda_without_a_gpu_is_refused(
    checkpoint: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, output = run("finetune", checkpoint, data, "--device", "cuda")
    assert code == 2
    assert "torch sees none" in output


def test_held_out_frames_are_not_training_frames(
    tmp_path: Path, checkpoint: Path, data: Path
) -> None:
    code, output = run("finetune", checkpoint, data, "--held-out", data, "-o", tmp_path / "head")
    assert code == 2
    assert "12 of the 12 frames" in output
    assert not (tmp_path / "head").exists()


def test_forces_alone_are_enough_to_finetune(
    tmp_path: Path, checkpoint: Path, ethanol_frames: Frames
) -> None:
    path = tmp_path / "forces.xyz"
    write_frames(path, Frames(tuple(f.relabelled(energy=None) for f in ethanol_frames)))
    code, output = run("finetune", checkpoint, path, "--no-scans", "-o", tmp_path / "head")
    assert code == 0, output


def test_energies_that_do_not_belong_to_the_model_are_refused(
    tmp_path: Path, checkpoint: Path, ethanol_frames: Frames
) -> None:
    other = [f.relabelled(energy=(f.energy or 0.0) - 4209.0) for f in ethanol_frames]
    write_frames(tmp_path / "other.xyz", Frames(tuple(other)))
    code, output = run("finetune", checkpoint, tmp_path / "other.xyz", "-o", tmp_path / "head")
    assert code == 2
    assert "do not belong to their E0s" in output


@pytest.mark.parametrize("option", [("--ridge", "inf"), ("--seed", "-1")])
def test_numbers_that_cannot_be_are_refused(
    tmp_path: Path, checkpoint: Path, data: Path, option: tuple[str, str]
) -> None:
    code, _ = run("finetune", checkpoint, data, *option, "-o", tmp_path / "head")
    assert code == 2
    assert not (tmp_path / "head").exists()


def test_a_ridge_of_zero_can_be_drawn(tmp_path: Path, checkpoint: Path, data: Path) -> None:
    code, output = run(
        "finetune", checkpoint, data, "--ridge", 0, "--no-scans", "-o", tmp_path / "head"
    )
    assert code == 0, output


def test_overwrite_spares_what_no_command_made(
    tmp_path: Path, checkpoint: Path, data: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    for command in (("finetune", checkpoint, data), ("export", checkpoint)):
        code, output = run(*command, "-o", tmp_path / "thesis", "--overwrite")
        assert code == 2
        assert "did not make" in output
    assert (tmp_path / "thesis" / "chapter.tex").exists()
