"""Uncertainty along a real run: what `analyze` says is what the eager model says of its frames."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mdtraj
import numpy as np
import pytest
from typer.testing import CliRunner

from fisher_mlip.analysis import AnalysisConfig, analyze_runs, read_run, uncertainty
from fisher_mlip.analysis.summary import summarize_run
from fisher_mlip.cli.app import app
from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.export import write_artefact
from fisher_mlip.model import Checkpoint, graph_of_frames, new_network
from fisher_mlip.model.uncertainty import estimate_uncertainty
from fisher_mlip.simulate import run_simulation


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, fitted_checkpoint: Checkpoint) -> Path:
    folder = tmp_path_factory.mktemp("uncertainty")
    (folder / "model").mkdir()
    write_artefact(folder / "model", fitted_checkpoint)
    config = SimulateConfig(
        model=str(folder / "model"),
        molecules=3,
        temperature=300.0,
        steps=20,
        report_interval=2,
        trajectory_interval=5,
        checkpoint_interval=20,
        device="cpu",
    )
    run_simulation(config, folder / "run")
    return folder / "run"


def spread_of(checkpoint: Checkpoint, run: Path, frame: int) -> FloatArray:
    """Return the force uncertainty of each atom of a trajectory's frame by the eager model."""
    trajectory = mdtraj.load(str(run / "trajectory.dcd"), top=str(run / "topology.pdb"))
    numbers = np.array([atom.element.number for atom in trajectory.topology.atoms])
    found = Frames((Frame(numbers, 10.0 * trajectory.xyz[frame].astype(np.float64)),))
    graph = graph_of_frames(found, checkpoint.config.elements, checkpoint.network.cutoff)
    forces = estimate_uncertainty(checkpoint.network, graph).forces
    assert forces is not None
    return np.asarray(forces.numpy())


def test_is_that_of_the_eager_model(run: Path, fitted_checkpoint: Checkpoint) -> None:
    report = analyze_runs([run], config=AnalysisConfig(uncertainty_frames=2))
    found = report.runs[0].uncertainty
    assert found is not None
    np.testing.assert_allclose(found.time_ps, [0.005, 0.02])
    assert found.n_atoms == 27
    for k, frame in enumerate((0, 3)):
        expected = spread_of(fitted_checkpoint, run, frame)
        assert found.median[k] == pytest.approx(np.median(expected), rel=1e-6)
        assert found.largest[k] == pytest.approx(expected.max(), rel=1e-6)
        assert found.largest[k] != pytest.approx(1.001 * expected.max(), rel=1e-6)
    assert len(summarize_run(report.runs[0])["force_uncertainty_median_meV_A"]) == 2


def test_frames_that_are_not_chosen_are_not_kept(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long trajectory does not fit into memory."""
    real, kept = uncertainty.iterate_chunks, []

    class Noted:
        def __init__(self, xyz: FloatArray) -> None:
            self._xyz = xyz

        def __getitem__(self, key: Any) -> FloatArray:
            kept.append(key[0])
            return self._xyz[key]

    def noted(*arguments: Any) -> Any:
        for times, chunk in real(*arguments):
            yield times, SimpleNamespace(xyz=Noted(chunk.xyz), unitcell_vectors=None)

    monkeypatch.setattr(uncertainty, "iterate_chunks", noted)
    found = uncertainty.force_uncertainty(read_run(run), 2)
    np.testing.assert_allclose(found.time_ps, [0.005, 0.02])
    assert kept == [0, 3]


def check_said(run: Path, output: Path, words: str) -> None:
    """What was asked for and is not told is a note, on the terminal and in the report."""
    options = ["--uncertainty", "2", "-o", str(output)]
    shown = CliRunner().invoke(app, ["analyze", str(run), *options], catch_exceptions=False).stdout
    note = f"no force uncertainty: {words}"
    assert note in shown
    assert note in " ".join(json.loads((output / "summary.json").read_text())["runs"][0]["notes"])
    assert "no force uncertainty" in (output / "report.html").read_text()


def test_is_found_from_another_working_directory(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = run.parent / "model"
    monkeypatch.chdir(run.parent)
    config = SimulateConfig(
        model=model.name, molecules=1, steps=4, report_interval=1, trajectory_interval=2
    )
    run_simulation(config, tmp_path / "relative")
    monkeypatch.chdir(tmp_path)
    found = analyze_runs([tmp_path / "relative"], config=AnalysisConfig(uncertainty_frames=1))
    assert found.runs[0].uncertainty is not None
    assert found.runs[0].run.reference.provenance["model"] == str(model.resolve() / "model.pt")


def test_is_never_that_of_another_model(
    run: Path, tmp_path: Path, fitted_checkpoint: Checkpoint
) -> None:
    model = run.parent / "model" / "model.pt"
    content = model.read_bytes()
    try:
        write_artefact(model.parent, fitted_checkpoint, "float32")
        check_said(run, tmp_path / "other", f"'{model}' is no longer the model that the run was")
        model.unlink()
        check_said(run, tmp_path / "gone", "expected")
    finally:
        model.write_bytes(content)


def test_a_model_without_sampled_heads_is_said(
    tmp_path: Path, fitted_checkpoint: Checkpoint
) -> None:
    config = fitted_checkpoint.config.model_copy(update={"sampled_heads": 0})
    (tmp_path / "model").mkdir()
    untrained = Checkpoint(new_network(config).eval(), config)
    artefact = write_artefact(tmp_path / "model", untrained)
    short = SimulateConfig(model=str(artefact.path), molecules=1, steps=2, report_interval=1)
    run_simulation(short, tmp_path / "run")
    check_said(tmp_path / "run", tmp_path / "report", f"'{artefact.path}' carries no sampled heads")


def test_is_left_out_unless_asked_for(run: Path) -> None:
    found = analyze_runs([run]).runs[0]
    assert found.uncertainty is None
    assert not [key for key in summarize_run(found) if "uncertainty" in key]
