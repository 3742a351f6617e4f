"""A run of a model trained on too little: it ends at an alarm, or is healed of it and goes on."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fisher_mlip.analysis.run_folder import read_openmm_run
from fisher_mlip.config import HealConfig, SimulateConfig
from fisher_mlip.data import read_frames
from fisher_mlip.export import load_artefact
from fisher_mlip.fisher.update import load_finetune
from fisher_mlip.heal import run_healed_simulation, updating
from fisher_mlip.heal.labels import Labels
from fisher_mlip.products import read_json
from fisher_mlip.simulate import RunSummary, rewinding, run_simulation
from fisher_mlip.simulate import run as run_module
from fisher_mlip.simulate.folder import RunFolder
from openmm_plugin.watch import read_alarms

from .conftest import Poor, poor_config


@pytest.fixture(scope="module")
def healed(
    poor: Poor, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SimulateConfig, Path, RunSummary]:
    """A run that was healed to its end."""
    config, path = poor_config(poor), tmp_path_factory.mktemp("healed") / "run"
    return config, path, run_healed_simulation(config, path)


def _rows(path: Path) -> np.ndarray:
    lines = path.read_text().splitlines()[1:]
    return np.array([[float(value) for value in line.split(",")] for line in lines])


def _models(run: Path) -> list[str]:
    return [rewind["model"] for rewind in read_json(run / "rewinds.json")["rewinds"]]


def test_what_ends_without_completes_with_labels(
    healed: tuple[SimulateConfig, Path, RunSummary], poor: Poor, tmp_path: Path
) -> None:
    config, run, summary = healed
    plain = config.model_copy(update={"heal": HealConfig(), "on_alarm": "stop"})
    ended = run_simulation(plain, tmp_path / "plain")
    assert (ended.exit_code, ended.labels) == (4, 0)
    assert ended.steps_done < config.steps
    assert (summary.status, summary.steps_done) == ("finished", config.steps)
    first = read_alarms(run / "alarms.csv")[0]
    assert (first.step, first.criterion) == (ended.steps_done, ended.alarms[0]["criterion"])
    assert first.action == "heal"
    assert 0 < summary.labels <= 50


def test_all_of_it_is_written_down(healed: tuple[SimulateConfig, Path, RunSummary]) -> None:
    config, run, summary = healed
    with (run / "healing.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["model"] for row in rows] == _models(run) != []
    assert (
        int(rows[-1]["labels_so_far"])
        == summary.labels
        == read_json(run / "summary.json")["labels"]
    )
    before, after = (float(rows[0][f"label_force_rmse_{when}"]) for when in ("before", "after"))
    assert after < before
    record = read_json(run / "checkpoint.json")["segments"]
    assert record[-1]["model"] == rows[-1]["model"]
    for name in ("ledger.csv", "molecules.csv", "watch.csv"):
        steps = _rows(run / name)[:, 0].tolist()
        assert steps == list(range(0, config.steps + 1, 2))
    found = read_openmm_run(run, "healed")
    last = read_json(run / "rewinds.json")["rewinds"][-1]["step"]
    assert found.rewound_ps == (pytest.approx(last * 0.0005) if last else None)


def test_labels_are_in_the_normal_equations(
    healed: tuple[SimulateConfig, Path, RunSummary], poor: Poor
) -> None:
    """And in no others: taken out again they leave what was there."""
    _, run, _ = healed
    first = run / "healed-001"
    (checkpoint, gram), (before, old) = load_finetune(first), load_finetune(poor.checkpoint)
    labels = read_frames(first / "labels.xyz")
    assert gram.training.n_frames == old.training.n_frames + len(labels)
    bare = Labels(labels, [], len(labels), []).bare
    removed = updating.update(checkpoint, gram, bare, "remove")
    assert removed.gram.training_hash == old.training_hash
    size = np.abs(old.training.forces.gram).max()
    np.testing.assert_allclose(
        removed.gram.training.forces.gram, old.training.forces.gram, atol=1e-9 * size
    )
    assert not np.allclose(gram.training.forces.gram, old.training.forces.gram, atol=1e-3 * size)
    assert updating.held_out_error(before) != updating.held_out_error(checkpoint)
    hashes = [load_artefact(p).manifest.weights_hash for p in (first, poor.artefact.path)]
    assert hashes[0] != hashes[1]


def _same_model(poor: Poor) -> Callable[..., None]:
    """Return a writer of healings that leaves theta as it was: the labels are dropped."""

    def write(folder: RunFolder, healing: Any, *others: Any) -> None:
        place = shutil.copytree(poor.checkpoint, folder.path / healing.model)
        shutil.copy(poor.artefact.path, place / "model.pt")
        updating.write_summary(place, {updating.KEY: healing.model_dump()})

    return write


def test_without_the_new_theta_it_alarms_again_until_the_labels_are_spent(
    healed: tuple[SimulateConfig, Path, RunSummary],
    poor: Poor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = healed[0]
    monkeypatch.setattr(updating, "_write", _same_model(poor))
    heal = config.heal.changed(max_labels=7, frames=5)
    summary = run_healed_simulation(config.model_copy(update={"heal": heal}), tmp_path / "run")
    assert (summary.status, summary.exit_code) == ("alarm", 4)
    assert 0 < summary.labels <= 7
    assert "; not rewound: " in summary.message
    assert {alarm["rewinds"] for alarm in summary.alarms} == {*range(len(summary.healings) + 1)}


class Killed(BaseException):
    """Ends a run at once, as a kill does."""


@pytest.mark.parametrize(
    ("module", "function"),
    [(rewinding, "_write"), (run_module, "place_pending"), (run_module, "close_rewind")],
)
def test_a_kill_around_a_healing_loses_nothing(
    module: ModuleType,
    function: str,
    healed: tuple[SimulateConfig, Path, RunSummary],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before it is on record, before the state is placed, and before the next checkpoint.

    The model is that of the whole run, found in its place as a killed run leaves it.
    """
    config, whole, summary = healed
    run, original = tmp_path / "run", getattr(module, function)
    calls = []

    def killed(*arguments: Any, **named: Any) -> Any:
        if function == "_write" or not rewinding.read_rewinds(RunFolder(run)).is_pending:
            raise Killed
        result = original(*arguments, **named)
        if function == "place_pending":
            raise Killed
        return result

    def kept(folder: RunFolder, name: str, illness: Any) -> bool:
        if not (folder.path / name).exists():
            calls.append(name)
            shutil.copytree(whole / name, folder.path / name)
        return is_of(folder, name, illness)

    is_of = updating._is_of
    monkeypatch.setattr(updating, "_is_of", kept)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        if function == "close_rewind":
            patched.setattr(run_module, "attach_reporters", _killed_after_rewind(run))
        else:
            patched.setattr(module, function, killed)
        run_healed_simulation(config, run)
    found = run_healed_simulation(config, run, resume=True)
    assert (found.status, found.labels) == (summary.status, summary.labels)
    assert calls == _models(run) == _models(whole)
    np.testing.assert_allclose(
        _rows(run / "ledger.csv")[:, :-1], _rows(whole / "ledger.csv")[:, :-1], rtol=1e-7, atol=1e-7
    )
    assert (run / "healing.csv").read_bytes() == (whole / "healing.csv").read_bytes()


def _killed_after_rewind(run: Path) -> Callable[..., Any]:
    original = run_module.attach_reporters

    def attach(*arguments: Any, **named: Any) -> Any:
        if rewinding.read_rewinds(RunFolder(run)).rewinds:
            raise Killed
        return original(*arguments, **named)

    return attach
