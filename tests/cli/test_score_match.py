"""`fisher-mlip score-match`: a head without forces, and a temperature that is not the frames'."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from fisher_mlip.cli.app import app
from fisher_mlip.data import read_frames, write_frames
from fisher_mlip.data.frames import Frames
from fisher_mlip.data.sampling import sample_gas
from fisher_mlip.model import Checkpoint, load_checkpoint, save_checkpoint

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, fitted_checkpoint: Checkpoint) -> Path:
    """A folder with a base model and OPLS frames at 500 K, their forces taken away."""
    folder = tmp_path_factory.mktemp("score")
    (folder / "base").mkdir()
    save_checkpoint(folder / "base", fitted_checkpoint)
    frames = sample_gas(40, 500.0, seed=1)
    bare = tuple(frame.relabelled(forces=None, energy=None) for frame in frames)
    write_frames(folder / "bare.xyz", Frames(bare, frames.reference_energies))
    return folder


def run(inputs: Path, *options: str) -> tuple[int, str]:
    arguments = ["score-match", str(inputs / "base"), str(inputs / "bare.xyz"), *options]
    result = RUNNER.invoke(app, [*arguments, "--temperature", "500", "--blocks", "8"])
    return result.exit_code, " ".join((result.output + result.stderr).split())


def test_a_checkpoint_is_written_from_frames_without_forces(inputs: Path) -> None:
    target = inputs / "matched"
    code, output = run(inputs, "--trust-temperature", "-o", str(target))
    assert code == 0, output
    assert "temperature that frames and model show together" in output
    summary = json.loads((target / "summary.json").read_text())
    assert summary["frames"] == 40
    assert summary["with_forces"] is None
    assert load_checkpoint(target).config.provenance["fisher"]["method"] == "score matching"


def test_a_model_that_shows_another_temperature_is_refused(inputs: Path) -> None:
    code, output = run(inputs, "-o", str(inputs / "refused"))
    assert code == 2
    assert "expected frames of 500 K" in output
    assert not (inputs / "refused").exists()


def test_sampled_heads_of_another_theta_are_not_kept(inputs: Path) -> None:
    assert load_checkpoint(inputs / "base").config.sampled_heads > 0
    code, output = run(inputs, "--trust-temperature", "-o", str(inputs / "fresh"))
    assert code == 0, output
    made = load_checkpoint(inputs / "fresh")
    assert made.config.sampled_heads == 0
    assert made.network.samples is None


def test_frames_in_nanometers_are_refused(inputs: Path) -> None:
    frames = read_frames(inputs / "bare.xyz")
    small = tuple(replace(frame, positions=0.1 * frame.positions) for frame in frames)
    write_frames(inputs / "nm.xyz", Frames(small, frames.reference_energies))
    arguments = ["score-match", str(inputs / "base"), str(inputs / "nm.xyz")]
    result = RUNNER.invoke(app, [*arguments, "--temperature", "500", "-o", str(inputs / "nm")])
    assert result.exit_code == 2
    assert not (inputs / "nm").exists()


def test_forces_that_say_it_is_worse_keep_the_pretrained_readout(inputs: Path) -> None:
    """A stated temperature a hundred times too high, trusted; the frames' forces know better."""
    frames = sample_gas(40, 500.0, seed=1)
    write_frames(inputs / "forces.xyz", frames)
    arguments = ["score-match", str(inputs / "base"), str(inputs / "forces.xyz"), "--blocks", "8"]
    hot = ["--temperature", "50000", "--trust-temperature", "-o", str(inputs / "hot")]
    result = RUNNER.invoke(app, [*arguments, *hot])
    assert result.exit_code == 0, result.output
    assert "no better: the pretrained readout is kept" in " ".join(result.output.split())
    before, after = (load_checkpoint(inputs / name).network for name in ("base", "hot"))
    assert torch.equal(before.readout, after.readout)
