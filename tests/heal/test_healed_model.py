"""What is asked of a healed run afterwards is asked of the model that it goes on with."""

import shutil
from pathlib import Path

import mdtraj
import numpy as np
import pytest

from fisher_mlip.analysis import AnalysisConfig, analyze_runs
from fisher_mlip.bench import bench_config
from fisher_mlip.config import HealConfig
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.diagnose.state import read_start
from fisher_mlip.export.potential import ArtefactPotential
from fisher_mlip.heal import run_healed_simulation
from fisher_mlip.products import read_json

from .conftest import Poor, poor_config

MODEL = "healed-001"


@pytest.fixture(scope="module")
def healed(poor: Poor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is healed once and then stops at its second alarm."""
    run = tmp_path_factory.mktemp("asked") / "run"
    heal = HealConfig(calculator="opls", max_healings=1)
    run_healed_simulation(poor_config(poor, heal=heal), run)
    return run


def test_a_diagnosis_is_of_the_model_in_use(healed: Path, poor: Poor) -> None:
    assert read_start(healed, "checkpoint").artefact.path.parent == healed / MODEL
    assert read_start(healed, "start").artefact.path == poor.artefact.path


def test_a_bench_is_of_the_model_in_use(healed: Path) -> None:
    assert bench_config({"model": str(healed)}, None).model == str(healed / MODEL)


def test_each_frame_is_judged_by_the_model_that_made_it(healed: Path, poor: Poor) -> None:
    segments = read_json(healed / "checkpoint.json")["segments"]
    assert [segment["model"] for segment in segments] == ["", MODEL]
    files = [healed / segment["file"] for segment in segments]
    frames = [mdtraj.load(str(file), top=str(healed / "topology.pdb")).xyz for file in files]
    expected = [
        np.median(_spread(model, positions))
        for model, part in zip((poor.artefact.path, healed / MODEL), frames, strict=True)
        for positions in part
    ]
    (found,) = analyze_runs([healed], config=AnalysisConfig(uncertainty_frames=1000)).runs
    assert found.uncertainty is not None
    np.testing.assert_allclose(found.uncertainty.median, expected, rtol=1e-5)
    # The sabotage: the model that the run began with tells other numbers.
    other = np.median(_spread(poor.artefact.path, frames[1][-1]))
    assert other != pytest.approx(expected[-1], rel=1e-3)
    assert f"judged by the healed model ('{MODEL}')" in " ".join(found.notes)


def _spread(model: Path, positions: FloatArray) -> FloatArray:
    """Return the force uncertainty of independent ethanols at positions in nm, eV/Å."""
    parts = 10.0 * positions.reshape(-1, 9, 3).astype(np.float64)
    potential = ArtefactPotential(model, ATOMIC_NUMBERS, periodic=False)
    return np.concatenate([potential.force_uncertainty(part) for part in parts])


def test_frames_of_a_model_that_nobody_knows_are_not_judged(healed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(healed, tmp_path / "run")
    (run / "checkpoint.json").unlink()
    (found,) = analyze_runs([run], config=AnalysisConfig(uncertainty_frames=2)).runs
    assert found.uncertainty is None
    assert "which knows the model of each frame of a healed run" in " ".join(found.notes)
