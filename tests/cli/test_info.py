"""`info` names every product by its content and refuses everything else in one sentence."""

import json
from pathlib import Path
from typing import Any

import mdtraj
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from typer.testing import CliRunner

from fisher_mlip.cli.app import app
from fisher_mlip.cli.info import describe
from fisher_mlip.config import Config, ModelConfig, SimulateConfig, TrainConfig, write_yaml
from fisher_mlip.data import Frames, write_frames
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.model.checkpoint import CheckpointConfig
from fisher_mlip.products import write_json
from fisher_mlip.quickstart import QuickstartConfig
from fisher_mlip.train.checkpoint_io import SafetensorsIO

RUNNER = CliRunner()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    config = CheckpointConfig(
        model=ModelConfig(), elements=[1, 8], reference_energies={1: -13.6, 8: -2042.0}
    )
    write_yaml(folder / "config.yaml", config.model_dump())
    write_json(folder / "metrics.json", {"forces_mae": 0.04})
    save_file({"a": np.zeros((3, 4)), "b": np.zeros(5)}, folder / "weights.safetensors")
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    write_yaml(folder / "config.yaml", SimulateConfig(model="model.pt", steps=20).model_dump())
    header = '#"Step","Time (ps)","Potential Energy (kJ/mole)"'
    (folder / "ledger.csv").write_text(f"{header}\n0,0.0,-1.5\n10,0.01,-1.4\n20,0")
    (folder / "trajectory.dcd").touch()
    return folder


def test_checkpoint(checkpoint: Path) -> None:
    facts = describe(checkpoint)
    assert facts["kind"] == "checkpoint"
    assert facts["elements"] == ["H", "O"]
    assert facts["parameters"] == 17
    assert facts["reference_energies_ev"] == {"H": -13.6, "O": -2042.0}
    assert facts["metrics"] == {"forces_mae": 0.04}


def test_damaged_checkpoint(checkpoint: Path) -> None:
    (checkpoint / "weights.safetensors").write_bytes(b"\x10" * 20)
    with pytest.raises(InputError, match="expected safetensors"):
        describe(checkpoint)


def test_artefact(exported: Artefact, tmp_path: Path) -> None:
    facts = describe(exported.path)
    assert facts["kind"] == "artefact"
    assert facts["elements"] == ["H", "C", "O"]
    assert facts["dtype"] == exported.manifest.dtype
    assert describe(exported.path.parent) == facts
    content = exported.path.read_bytes()
    truncated = tmp_path / "model.pt"
    truncated.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="model"):
        describe(truncated)


def test_run_in_progress_and_finished(run_folder: Path) -> None:
    facts = describe(run_folder)
    assert facts["kind"] == "run"
    assert facts["status"] == "no summary: not ended"
    assert (facts["last_step"], facts["segments"], facts["steps"]) == ("20", 1, 20)
    write_json(run_folder / "summary.json", {"status": "finished"})
    assert describe(run_folder)["status"] == "finished"


def test_molecules_of_a_run_are_those_of_its_system(run_folder: Path) -> None:
    assert describe(run_folder)["molecules"] == SimulateConfig(model="model.pt").molecules
    write_json(run_folder / "reference.json", {"n_molecules": 7})
    assert describe(run_folder)["molecules"] == 7


def test_run_that_has_not_begun(run_folder: Path) -> None:
    (run_folder / "ledger.csv").write_text("")
    assert describe(run_folder)["ledger_rows"] == 0


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (TrainConfig(), "training configuration"),
        (SimulateConfig(model="model.pt"), "simulation configuration"),
        (QuickstartConfig(), "sizes of a quickstart"),
    ],
)
def test_configurations(tmp_path: Path, config: Config, kind: str) -> None:
    path = tmp_path / "config.yaml"
    write_yaml(path, config.model_dump())
    assert describe(path)["kind"] == kind


def test_frames(tmp_path: Path, ethanol_frames: Frames) -> None:
    path = tmp_path / "frames.xyz"
    write_frames(path, ethanol_frames)
    facts = describe(path)
    assert facts["kind"] == "reference data"
    assert facts["frames"] == 12
    assert list(facts["compositions"].values()) == [12]


@pytest.mark.real_data
def test_real_frames(real_data: Path) -> None:
    facts = describe(real_data / "train.xyz")
    assert facts["frames"] == 1000
    assert list(facts["compositions"].values()) == [1000]


def test_scales_of_a_checkpoint_are_no_parameters(checkpoint: Path) -> None:
    tensors = {"a": np.zeros((3, 4)), "energy_scale": np.ones(1), "message_scale": np.ones(1)}
    save_file(tensors, checkpoint / "weights.safetensors")
    assert describe(checkpoint)["parameters"] == 12


def test_a_long_mapping_gets_a_line_for_each_entry(checkpoint: Path) -> None:
    write_json(checkpoint / "metrics.json", {f"metric_{i}": i / 3 for i in range(5)})
    lines = RUNNER.invoke(app, ["info", str(checkpoint)]).stdout.splitlines()
    assert lines[-6:-3] == ["metrics", "  metric_0  0", "  metric_1  0.33333333"]


def test_files_of_a_run(run_folder: Path) -> None:
    facts = describe(run_folder / "ledger.csv")
    assert (facts["kind"], facts["rows"]) == ("table", 3)
    assert facts["columns"] == ["Step", "Time (ps)", "Potential Energy (kJ/mole)"]
    assert facts["last_row"]["Step"] == "20"
    with pytest.raises(InputError, match="expected a DCD with a whole frame"):
        describe(run_folder / "trajectory.dcd")
    frames = mdtraj.Trajectory(np.zeros((4, 3, 3)), None)
    frames.save_dcd(str(run_folder / "whole.dcd"))
    facts = describe(run_folder / "whole.dcd")
    assert facts == {"kind": "trajectory", "frames": 4, "atoms": 3}
    write_json(run_folder / "reference.json", {"n_atoms": 40, "symbols": ["H"] * 40})
    shown = RUNNER.invoke(app, ["info", str(run_folder / "reference.json")]).stdout
    assert "H, H, ... (40 in all)" in shown
    (run_folder / "state.xml").touch()
    assert "OpenMM's state" in describe(run_folder / "state.xml")["kind"]


def test_weights_and_training_states(checkpoint: Path, tmp_path: Path) -> None:
    facts = describe(checkpoint / "weights.safetensors")
    assert (facts["kind"], facts["tensors"], facts["parameters"]) == ("weights", 2, 17)
    state = tmp_path / "last.safetensors"
    SafetensorsIO().save_checkpoint({"epoch": 3, "w": torch.zeros(2)}, state)
    assert describe(state)["kind"].startswith("training state")


@pytest.mark.parametrize(
    "metadata",
    [
        {"meaning": "{"},
        {"meaning": "[1]"},
        {"normal_equations": "no JSON"},
        {"normal_equations": "{}"},
        {"normal_equations": '{"frames": 3, "held_out_frames": 1, "head": 1}'},
    ],
)
def test_headers_of_tensors_that_were_edited(tmp_path: Path, metadata: dict[str, str]) -> None:
    save_file({"a": np.zeros(3)}, tmp_path / "weights.safetensors", metadata=metadata)
    with pytest.raises(InputError, match=r"expected our header in .*, found a damaged one"):
        describe(tmp_path / "weights.safetensors")


def test_splits_reports_and_trainings_without_a_model(tmp_path: Path) -> None:
    for name, mark, content in (
        ("split", "train.xyz", {"frames": {"train": 10, "test": 2}}),
        ("report", "report.html", {"runs": [{"label": "a", "verdict": "stable: ..."}]}),
    ):
        folder = tmp_path / name
        write_json(folder / "summary.json", content)
        (folder / mark).touch()
        assert describe(folder)["kind"] == name
    assert describe(tmp_path / "split")["frames"] == {"train": 10, "test": 2}
    assert describe(tmp_path / "report")["verdicts"] == {"a": "stable: ..."}
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "training.csv").touch()
    with pytest.raises(InputError, match="found a training without one yet"):
        describe(tmp_path / "begun")


def test_reference_data_is_shown_with_its_spans_named(
    tmp_path: Path, ethanol_frames: Frames
) -> None:
    write_frames(tmp_path / "frames.xyz", ethanol_frames)
    assert describe(tmp_path / "frames.xyz")["atoms_per_frame"]["largest"] == 9
    shown = RUNNER.invoke(app, ["info", str(tmp_path / "frames.xyz")]).stdout
    assert "9 to 9, mean 9" in shown


def foreign(folder: Path) -> list[Path]:
    """Things that are none of ours."""
    (folder / "empty").mkdir()
    (folder / "other").mkdir()
    (folder / "other" / "ledger.csv").touch()
    (folder / "text.yaml").write_text("just words")
    (folder / "keys.yaml").write_text("speed: 3\n")
    (folder / "noise.bin").write_bytes(bytes(range(256)))
    (folder / "nothing.xyz").touch()
    np.savez(folder / "array.npz", a=np.zeros(3))
    return [*sorted(folder.iterdir()), folder / "absent"]


def test_anything_else_is_one_sentence(tmp_path: Path) -> None:
    for path in foreign(tmp_path):
        result = RUNNER.invoke(app, ["info", str(path)])
        assert result.exit_code == 2, (path, result.output)
        assert result.stderr.startswith("error: expected"), path
        assert result.stderr.count("\n") == 1, path


def test_lines_and_json_say_the_same(checkpoint: Path) -> None:
    printed = RUNNER.invoke(app, ["info", str(checkpoint)]).stdout.splitlines()
    lines = [line for line in printed if not line.startswith(" ")]
    facts: dict[str, Any] = json.loads(
        RUNNER.invoke(app, ["info", str(checkpoint), "--json"]).stdout
    )
    assert [line.split()[0] for line in lines] == list(facts)
    assert "forces_mae: 0.04" in lines[-1]
