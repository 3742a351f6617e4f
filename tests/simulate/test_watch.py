"""The watch of a run: an unstable model is caught early, and warned of, stopped or rewound."""

import copy
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mdtraj
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fisher_mlip.analysis import analyze_runs
from fisher_mlip.cli import app
from fisher_mlip.config import SimulateConfig, WatchConfig, write_yaml
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, write_artefact
from fisher_mlip.model import Checkpoint
from fisher_mlip.products import read_json
from fisher_mlip.simulate import run_simulation
from fisher_mlip.units import KJ_PER_MOL_PER_EV
from openmm_plugin.watch import read_alarms

from .conftest import MakeConfig, read_rows

# No run may have gained more than this when it is caught, eV/atom.
ENERGY_BOUND = 0.1


def _noisy(checkpoint: Checkpoint) -> Checkpoint:
    """Return a model with noise on its readout, as large as the readout itself."""
    network = copy.deepcopy(checkpoint.network)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        noise = torch.randn(network.readout.shape, generator=generator, dtype=torch.float64)
        network.readout += 2.0 * noise * network.readout.square().mean().sqrt()
    return Checkpoint(network, checkpoint.config)


@pytest.fixture(scope="session")
def models(
    fitted_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Artefact]:
    """The fitted model, and it with a noisy readout."""
    made = {"sound": fitted_checkpoint, "noisy": _noisy(fitted_checkpoint)}
    return {
        name: write_artefact(tmp_path_factory.mktemp(name), checkpoint, "float64")
        for name, checkpoint in made.items()
    }


@pytest.fixture
def watched(short: MakeConfig, models: dict[str, Artefact]) -> Callable[..., SimulateConfig]:
    """Configurations of runs of two molecules at 300 K under one of the models."""

    def make(name: str, **values: Any) -> SimulateConfig:
        chosen = {
            **{"model": str(models[name].path), "steps": 120, "report_interval": 5},
            **{"trajectory_interval": 4, "checkpoint_interval": 10, "on_alarm": "stop"},
            "watch": WatchConfig(interval=5, frames=3),
        }
        return short(**(chosen | values))

    return make


def _rise(run: Path) -> float:
    """Return the largest rise of the total energy, eV/atom."""
    total = read_rows(run / "ledger.csv")[:, 4]
    return float((total - total[0]).max()) / KJ_PER_MOL_PER_EV / 18


def test_a_noisy_head_is_caught_and_a_sound_one_is_not(
    watched: Callable[..., SimulateConfig], tmp_path: Path
) -> None:
    caught = run_simulation(watched("noisy"), tmp_path / "noisy")
    assert caught is not None
    assert (caught.status, caught.exit_code) == ("alarm", 4)
    assert caught.steps_done < 120
    assert _rise(tmp_path / "noisy") < ENERGY_BOUND
    stored = read_json(tmp_path / "noisy" / "summary.json")
    assert stored["exit_code"] == 4
    (alarm,) = stored["alarms"][:1]
    assert alarm["step"] == caught.steps_done
    assert alarm["action"] == "stop"
    assert alarm["criterion"] in caught.message
    assert alarm["value"] > alarm["threshold"] or "distance" in alarm["criterion"]
    top = str(tmp_path / "noisy" / "topology.pdb")
    assert mdtraj.load(str(tmp_path / "noisy" / alarm["frames"]), top=top).n_frames == 3
    sound = run_simulation(watched("sound"), tmp_path / "sound")
    assert (sound.status, sound.alarms) == ("finished", [])
    assert _rise(tmp_path / "sound") < ENERGY_BOUND
    looks = read_rows(tmp_path / "sound" / "watch.csv")
    assert looks[:, 0].tolist() == list(range(0, 121, 5))
    unwatched = watched("noisy", watch=WatchConfig(enabled=False))
    assert run_simulation(unwatched, tmp_path / "unwatched").status != "alarm"
    assert not (tmp_path / "unwatched" / "watch.csv").exists()


def test_a_warned_run_goes_on_and_its_report_names_the_alarm(
    watched: Callable[..., SimulateConfig], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    summary = run_simulation(watched("noisy", on_alarm="warn", steps=60), run)
    alarms = read_alarms(run / "alarms.csv")
    assert len({alarm.criterion for alarm in alarms}) == len(alarms) > 0
    assert summary.exit_code in (0, 3)
    assert capfd.readouterr().err.replace("\n", "").count(alarms[0].sentence) == 1
    (found,) = analyze_runs([run]).runs
    assert (
        f"the watch's alarm at {alarms[0].time_ps:.4g} ps: {alarms[0].criterion}" in found.verdict
    )
    described = CliRunner().invoke(app, ["info", str(run / "alarms.csv")])
    assert "alarms of a run's watch" in described.output
    assert alarms[0].criterion in described.output


def _without_speed(path: Path) -> list[str]:
    return [line.rpartition(",")[0] for line in path.read_text().splitlines()]


def _frames(run: Path) -> np.ndarray:
    record = read_json(run / "checkpoint.json")
    top = str(run / "topology.pdb")
    files = [run / segment["file"] for segment in record["segments"]]
    return np.concatenate([mdtraj.load_dcd(str(f), top=top).xyz for f in files if f.exists()])


def _assert_same(run: Path, whole: Path) -> None:
    """Check that two runs have the same rows, looks and alarms to the last digit."""
    assert _without_speed(run / "ledger.csv") == _without_speed(whole / "ledger.csv")
    for name in ("watch.csv", "molecules.csv"):
        assert (run / name).read_text() == (whole / name).read_text()
    assert read_alarms(run / "alarms.csv") == read_alarms(whole / "alarms.csv")
    assert np.array_equal(_frames(run), _frames(whole))


def test_a_resumed_watch_goes_on_as_if_nothing_had_been(
    watched: Callable[..., SimulateConfig], tmp_path: Path
) -> None:
    """The windows of 7 fs end between checkpoints; the bond's bound is passed by any motion."""
    watch = WatchConfig(interval=2, frames=3, window_ps=0.007, bond_deviation=0.02)
    config = watched("sound", on_alarm="warn", steps=50, watch=watch, checkpoint_interval=15)
    run_simulation(config, tmp_path / "whole")
    run_simulation(config.model_copy(update={"steps": 19}), tmp_path / "parts")
    run_simulation(config.model_copy(update={"steps": 33}), tmp_path / "parts", resume=True)
    run_simulation(config, tmp_path / "parts", resume=True)
    _assert_same(tmp_path / "parts", tmp_path / "whole")
    assert read_alarms(tmp_path / "parts" / "alarms.csv")
    (tmp_path / "parts" / "watch.json").unlink()
    with pytest.raises(InputError, match="expected the watch's memory of step 50"):
        more = config.model_copy(update={"steps": 60})
        run_simulation(more, tmp_path / "parts", resume=True)


def test_a_rewound_run_is_whole_and_gives_up_in_the_end(
    watched: Callable[..., SimulateConfig], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    watch = WatchConfig(interval=5, frames=3, rewinds=2)
    summary = run_simulation(watched("noisy", on_alarm="rewind", watch=watch), run)
    assert (summary.status, summary.rewinds) == ("alarm", 2)
    record = read_json(run / "rewinds.json")
    assert not record["is_pending"]
    for rewind in record["rewinds"]:
        assert rewind["step"] == 0 or rewind["step"] <= rewind["alarm_step"] - 15
        assert rewind["step"] % 10 == 0
    alarms = read_alarms(run / "alarms.csv")
    assert {alarm.rewinds for alarm in alarms} == {0, 1, 2}
    assert all((run / alarm.frames).exists() for alarm in alarms)
    for name, interval in {"ledger.csv": 5, "watch.csv": 5}.items():
        rows = read_rows(run / name)
        assert rows[:, 0].tolist() == list(range(0, summary.steps_done + 1, interval))
        np.testing.assert_allclose(rows[:, 1], rows[:, 0] * 0.0005, atol=1e-12)
    assert len(_frames(run)) == summary.steps_done // 4


KILLED = """
import os, signal, sys
from pathlib import Path
from fisher_mlip.config import SimulateConfig, read_config
from fisher_mlip.simulate import rewinding, run, run_simulation

place, name = {"rewinding": rewinding, "run": run}[sys.argv[3]], sys.argv[4]
whole = getattr(place, name)

def killed(folder, *rest, **more):
    whole(folder, *rest, **more)
    if rewinding.read_rewinds(run.RunFolder(Path(sys.argv[2]))).is_pending:
        os.kill(os.getpid(), signal.SIGKILL)

setattr(place, name, killed)
run_simulation(read_config(Path(sys.argv[1]), SimulateConfig), Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def rewound(
    models: dict[str, Artefact], tmp_path_factory: pytest.TempPathFactory
) -> tuple[SimulateConfig, Path]:
    """A run that was rewound once and then stopped, without a kill."""
    config = SimulateConfig(
        model=str(models["noisy"].path),
        **{"molecules": 2, "temperature": 300.0, "timestep": 0.5, "steps": 120},
        **{"report_interval": 5, "trajectory_interval": 4, "checkpoint_interval": 10},
        **{"platform": "Reference", "on_alarm": "rewind"},
        watch=WatchConfig(interval=5, frames=1, rewinds=1),
    )
    path = tmp_path_factory.mktemp("rewound") / "run"
    run_simulation(config, path)
    return config, path


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("rewinding", "_write"),
        ("run", "place_pending"),
        ("run", "cut_tables"),
        ("run", "write_checkpoint"),
    ],
)
def test_a_kill_in_the_middle_of_a_rewind_loses_nothing(
    module: str, function: str, rewound: tuple[SimulateConfig, Path], tmp_path: Path
) -> None:
    config, whole = rewound
    write_yaml(tmp_path / "config.yaml", config.model_dump(exclude_none=True))
    run = tmp_path / "run"
    arguments = [str(tmp_path / "config.yaml"), str(run), module, function]
    process = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert process.returncode == -signal.SIGKILL
    assert json.loads((run / "rewinds.json").read_text())["is_pending"]
    summary = run_simulation(config, run, resume=True)
    assert (summary.status, summary.rewinds) == ("alarm", 1)
    _assert_same(run, whole)


def test_the_command_stops_with_4_and_takes_bounds_from_the_file(
    watched: Callable[..., SimulateConfig], tmp_path: Path
) -> None:
    config = watched("noisy", on_alarm="warn").model_dump(exclude_none=True)
    write_yaml(tmp_path / "run.yaml", config)
    options = ["--config", str(tmp_path / "run.yaml"), "--on-alarm", "stop"]
    done = CliRunner().invoke(app, ["simulate", *options, "-o", str(tmp_path / "run")])
    assert done.exit_code == 4, done.output
    assert "alarms.csv" in done.output
    more = CliRunner().invoke(
        app, ["simulate", *options, "--watch-interval", "3", "-o", str(tmp_path / "other")]
    )
    written = (tmp_path / "other" / "config.yaml").read_text()
    assert more.exit_code == 4
    assert "interval: 3" in written
    assert "frames: 3" in written


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"on_alarm": "rewind", "watch": WatchConfig(enabled=False)}, "rewind needs the watch"),
        ({"watch": WatchConfig(uncertainty=1.0)}, "needs an uncertainty_interval"),
        ({"uncertainty_interval": 10}, "carries no sampled heads"),
        ({"watch": WatchConfig(rdf_reference="absent.npz")}, "expected an .npz"),
    ],
)
def test_refusals(short: MakeConfig, values: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        run_simulation(short(**values), tmp_path / "run")
    assert not (tmp_path / "run").exists()
