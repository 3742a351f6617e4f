"""A run that is healed: what it goes on with, what it tells, and what a kill costs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from fisher_mlip.config import HealConfig, SimulateConfig
from fisher_mlip.data import read_frames
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS
from fisher_mlip.export import FisherCalculator, load_artefact
from fisher_mlip.fisher.gram_file import load_gram
from fisher_mlip.heal import run_healed_simulation, updating
from fisher_mlip.products import read_json
from fisher_mlip.simulate import RunSummary, rewinding
from fisher_mlip.simulate import run as running
from fisher_mlip.simulate.checkpoints import read_state
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.units import KJ_PER_MOL_PER_EV

from .conftest import Poor, poor_config

MODEL = "healed-001"
TABLES = ("ledger.csv", "watch.csv", "healing.csv", "alarms.csv")


class Killed(BaseException):
    """Ends a process where it stands, as far as the files can tell."""


@pytest.fixture(scope="module")
def config(poor: Poor) -> SimulateConfig:
    return poor_config(poor, heal=HealConfig(calculator="opls", max_healings=1))


@pytest.fixture(scope="module")
def whole(
    config: SimulateConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RunSummary]:
    """A run that is healed once and then stops at its second alarm."""
    run = tmp_path_factory.mktemp("healed") / "whole"
    return run, run_healed_simulation(config, run)


def test_the_run_tells_what_healed_it_and_why_it_stopped(whole: tuple[Path, RunSummary]) -> None:
    run, summary = whole
    assert (summary.status, summary.rewinds, len(summary.healings)) == ("alarm", 1, 1)
    assert summary.message.endswith("not rewound: 1 healings were made, as many as may be")
    (healing,) = summary.healings
    assert healing["model"] == MODEL
    assert summary.labels == healing["made"] >= healing["frames"] == 5
    assert len(read_frames(run / MODEL / "labels.xyz")) == healing["frames"]
    rows = (run / "healing.csv").read_text().splitlines()
    assert (len(rows), rows[1].split(",")[-1]) == (2, str(summary.labels))
    record = read_json(run / "rewinds.json")["rewinds"]
    assert [(each["model"], each["alarm_step"]) for each in record] == [(MODEL, healing["step"])]
    segments = read_json(run / "checkpoint.json")["segments"]
    assert [segment["model"] for segment in segments][-1] == MODEL


def test_labels_are_solved_from_and_judge(whole: tuple[Path, RunSummary], poor: Poor) -> None:
    run, summary = whole
    before, after = (load_gram(p / "gram.safetensors") for p in (poor.checkpoint, run / MODEL))
    assert len(after.frames) - len(before.frames) == 4
    assert len(after.held_out_frames) - len(before.held_out_frames) == 1
    (healing,) = summary.healings
    assert healing["label_force_rmse_after"] < healing["label_force_rmse_before"]


def test_the_context_has_the_healed_model(whole: tuple[Path, RunSummary], poor: Poor) -> None:
    """Energies of the ledger are that model's; the sabotage: not those of the old one."""
    run, _ = whole
    state = read_state(RunFolder(run))
    positions = np.array(state.getPositions(asNumpy=True)._value) * 10.0
    table = np.genfromtxt(run / "ledger.csv", delimiter=",", names=True)
    (row,) = np.flatnonzero(table["Step"] == state.getStepCount())
    ledger = table["Potential_Energy_kJmole"][row] / KJ_PER_MOL_PER_EV
    assert _energy(run / MODEL, positions) == pytest.approx(ledger, abs=1e-6)
    assert abs(_energy(poor.artefact.path.parent, positions) - ledger) > 1e-3


def _energy(model: Path, positions: Any) -> float:
    """Return the energy of independent molecules, eV."""
    total = 0.0
    for part in positions.reshape(-1, 9, 3):
        atoms = Atoms(ATOMIC_NUMBERS, positions=part)
        atoms.calc = FisherCalculator(model)
        total += float(atoms.get_potential_energy())
    return total


def test_kills_lose_no_label_and_change_nothing(
    config: SimulateConfig,
    whole: tuple[Path, RunSummary],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the model is written, before it is in use, and before the state is gone back to."""
    run, calls = tmp_path / "killed", _counted(monkeypatch)
    for number, (module, name) in enumerate(
        ((updating, "write_frames"), (rewinding, "_write"), (running, "draw_velocities"))
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, _kill)
            with pytest.raises(Killed):
                run_healed_simulation(config, run, resume=number > 0)
        assert (run / MODEL).exists() == (number > 0)
    made = whole[1].labels
    # The first kill loses its labels; those of a folder that is whole are made once.
    assert len(calls) == 2 * made
    other = shutil.copytree(run, tmp_path / "other")
    summary = run_healed_simulation(config, run, resume=True)
    assert (summary.status, summary.labels, len(calls)) == ("alarm", made, 2 * made)
    _assert_same(run, whole[0])
    with monkeypatch.context() as patch:
        # The sabotage: a resume that takes the model that the run began with.
        patch.setattr(running, "artefact_in_use", lambda _, artefact: artefact)
        run_healed_simulation(config, other, resume=True)
    with pytest.raises(AssertionError):
        _assert_same(other, whole[0])


def _kill(*_: object, **__: object) -> None:
    raise Killed


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets an entry at each call of the calculator for a label."""
    calls: list[int] = []
    make: Callable[..., Any] = updating.make_labels

    def counted(*arguments: Any) -> Any:
        labels = make(*arguments)
        calls.extend(range(labels.made))
        return labels

    monkeypatch.setattr(updating, "make_labels", counted)
    return calls


def _assert_same(run: Path, whole: Path) -> None:
    """Check that rows are the same to the last bit, times on a clock aside."""
    for name in TABLES:
        found, expected = (_rows(folder / name) for folder in (run, whole))
        assert found == expected, name
    assert (run / "state.xml").read_text() == (whole / "state.xml").read_text()
    hashes = [load_artefact(folder / MODEL).manifest.weights_hash for folder in (run, whole)]
    assert hashes[0] == hashes[1]


def _rows(path: Path) -> list[list[str]]:
    rows = [line.split(",") for line in path.read_text().splitlines()]
    clocks = ('"Speed', '"List Rebuilds', "seconds")
    kept = [k for k, column in enumerate(rows[0]) if not column.startswith(clocks)]
    return [[row[k] for k in kept] for row in rows]
