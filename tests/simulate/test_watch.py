"""The watch of a run: an unstable model is caught early, and warned of, stopped or rewound."""

import copy
import dataclasses
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import mdtraj
import numpy as np
import openmm
import pytest
import torch
from typer.testing import CliRunner

from fisher_mlip.analysis import analyze_runs
from fisher_mlip.cli import app
from fisher_mlip.config import SimulateConfig, WatchConfig, read_yaml, write_yaml
from fisher_mlip.data import Frame, Frames, write_frames
from fisher_mlip.data.ethanol import ethanol_topology
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, write_artefact
from fisher_mlip.model import Checkpoint
from fisher_mlip.products import read_json
from fisher_mlip.simulate import rewinding, run_simulation
from fisher_mlip.simulate import run as run_module
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.units import KJ_PER_MOL_PER_EV
from openmm_plugin import torch_force
from openmm_plugin.watch import read_alarms

from .conftest import MakeConfig, read_rows, short_config

# No run may have gained more than this when it is caught, eV/atom.
ENERGY_BOUND = 0.1


def _noisy(checkpoint: Checkpoint) -> Checkpoint:
    """Return a model with noise on its readout."""
    network = copy.deepcopy(checkpoint.network)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        noise = torch.randn(network.readout.shape, generator=generator, dtype=torch.float64)
        network.readout += 0.05 * noise * network.readout.square().mean().sqrt()
    return Checkpoint(network, checkpoint.config)


@pytest.fixture(scope="module")
def models(
    fitted_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Artefact]:
    """The fitted model, and it with a noisy readout."""
    made = {"sound": fitted_checkpoint, "noisy": _noisy(fitted_checkpoint)}
    return {
        name: write_artefact(tmp_path_factory.mktemp(name), checkpoint, "float64")
        for name, checkpoint in made.items()
    }


@pytest.fixture(scope="module")
def at_rest(
    models: dict[str, Artefact], ethanol_frames: Frames, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An ethanol in the sound model's minimum: nothing but heat moves it there."""
    topology, system = ethanol_topology(1), openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    system.addForce(torch_force(models["sound"], topology))
    reference = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), reference)
    frame = ethanol_frames[0]
    context.setPositions(frame.positions * 0.1)
    openmm.LocalEnergyMinimizer.minimize(context, 50.0, 60)
    positions = 10.0 * context.getState(positions=True).getPositions(asNumpy=True)._value
    path = tmp_path_factory.mktemp("start") / "start.xyz"
    still = Frame(frame.atomic_numbers, positions, energy=0.0, forces=np.zeros((9, 3)))
    write_frames(path, Frames((still,)))
    return path


def _config(artefact: Artefact, **values: Any) -> SimulateConfig:
    """Return a run in which files are written at intervals that never agree."""
    chosen = {
        **{"steps": 40, "report_interval": 4, "trajectory_interval": 3, "checkpoint_interval": 5},
        "watch": WatchConfig(interval=2, frames=2),
    }
    return short_config(artefact, **(chosen | values))


def _rise(run: Path) -> float:
    """Return the largest rise of the total energy, eV/atom."""
    total = read_rows(run / "ledger.csv")[:, 4]
    return float((total - total[0]).max()) / KJ_PER_MOL_PER_EV / 18


def test_a_noisy_head_is_caught_and_a_sound_one_is_not(
    models: dict[str, Artefact], at_rest: Path, tmp_path: Path
) -> None:
    values = {"steps": 60, "start_frames": str(at_rest), "on_alarm": "stop"}
    values["watch"] = WatchConfig(interval=4, frames=3)
    run = tmp_path / "noisy"
    caught = run_simulation(_config(models["noisy"], **values), run)
    assert (caught.status, caught.exit_code) == ("alarm", 4)
    assert caught.steps_done < 60
    assert _rise(run) < ENERGY_BOUND
    stored = read_json(run / "summary.json")
    assert stored["exit_code"] == 4
    alarm = stored["alarms"][0]
    assert (alarm["step"], alarm["action"]) == (caught.steps_done, "stop")
    assert alarm["criterion"] in caught.message
    assert alarm["value"] > alarm["threshold"]
    frames = mdtraj.load(str(run / alarm["frames"]), top=str(run / "topology.pdb"))
    assert frames.n_frames == min(3, alarm["step"] // 4 + 1)
    sound = run_simulation(_config(models["sound"], **values), tmp_path / "sound")
    assert (sound.status, sound.alarms) == ("finished", [])
    assert _rise(tmp_path / "sound") < ENERGY_BOUND
    looks = read_rows(tmp_path / "sound" / "watch.csv")
    assert looks[:, 0].tolist() == list(range(0, 61, 4))


def test_a_warned_run_goes_on_and_its_report_names_the_alarm(
    artefact: Artefact, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    watch = WatchConfig(interval=2, bond_deviation=0.02)
    summary = run_simulation(_config(artefact, watch=watch, on_alarm="warn"), run)
    assert (summary.status, summary.exit_code, summary.steps_done) == ("finished", 0, 40)
    alarms = read_alarms(run / "alarms.csv")
    assert len({alarm.criterion for alarm in alarms}) == len(alarms) > 0
    assert capfd.readouterr().err.replace("\n", "").count(alarms[0].sentence) == 1
    (found,) = analyze_runs([run]).runs
    assert (
        f"the watch's alarm at {alarms[0].time_ps:.4g} ps: {alarms[0].criterion}" in found.verdict
    )
    described = CliRunner().invoke(app, ["info", str(run / "alarms.csv")])
    assert "alarms of a run's watch" in described.output
    assert alarms[0].criterion in described.output
    run_simulation(_config(artefact, watch=WatchConfig(enabled=False)), tmp_path / "unwatched")
    assert not (tmp_path / "unwatched" / "watch.csv").exists()


def _frames(run: Path) -> np.ndarray:
    record = read_json(run / "checkpoint.json")
    top = str(run / "topology.pdb")
    files = [run / segment["file"] for segment in record["segments"]]
    return np.concatenate([mdtraj.load_dcd(str(f), top=top).xyz for f in files if f.exists()])


def _assert_same(run: Path, whole: Path) -> None:
    """Check that two runs have the same rows, looks, frames and alarms, speeds aside."""
    tables = {"ledger.csv": slice(0, -1), "watch.csv": slice(None), "molecules.csv": slice(None)}
    for name, columns in tables.items():
        found, expected = read_rows(run / name), read_rows(whole / name)
        assert found[:, 0].tolist() == expected[:, 0].tolist()
        np.testing.assert_allclose(found[:, columns], expected[:, columns], rtol=1e-7, atol=1e-7)
    found_alarms, expected_alarms = (read_alarms(path / "alarms.csv") for path in (run, whole))
    for alarm, other in zip(found_alarms, expected_alarms, strict=True):
        assert alarm.value == pytest.approx(other.value, rel=1e-7)
        assert dataclasses.replace(alarm, value=other.value) == dataclasses.replace(
            other, time_ps=alarm.time_ps
        )
    np.testing.assert_allclose(_frames(run), _frames(whole), atol=1e-6)


def test_a_resumed_watch_goes_on_as_if_nothing_had_been(artefact: Artefact, tmp_path: Path) -> None:
    """The windows of 7 fs end between checkpoints; the bond's bound is passed by any motion."""
    watch = WatchConfig(interval=2, frames=3, window_ps=0.007, bond_deviation=0.05)
    config = _config(artefact, watch=watch, checkpoint_interval=15)
    run_simulation(config, tmp_path / "whole")
    run = tmp_path / "parts"
    run_simulation(config.model_copy(update={"steps": 11}), run)
    run_simulation(config.model_copy(update={"steps": 33}), run, resume=True)
    run_simulation(config, run, resume=True)
    _assert_same(run, tmp_path / "whole")
    assert read_alarms(run / "alarms.csv")
    (run / "watch.json").unlink()
    with pytest.raises(InputError, match="expected the watch's memory of step 40"):
        run_simulation(config.model_copy(update={"steps": 60}), run, resume=True)


def test_a_run_that_was_stopped_may_go_on_with_a_warning(
    artefact: Artefact, tmp_path: Path
) -> None:
    watch = WatchConfig(interval=2, bond_deviation=0.02)
    config = _config(artefact, watch=watch, on_alarm="stop")
    run = tmp_path / "run"
    assert run_simulation(config, run).status == "alarm"
    assert run_simulation(config, run, resume=True).status == "alarm"
    (alarm,) = read_alarms(run / "alarms.csv")
    warned = config.model_copy(update={"on_alarm": "warn"})
    assert run_simulation(warned, run, resume=True).status == "finished"
    again = read_alarms(run / "alarms.csv")[0]
    assert (again.step, again.criterion, again.action) == (alarm.step, alarm.criterion, "warn")
    run_simulation(warned, tmp_path / "whole")
    _assert_same(run, tmp_path / "whole")


def test_an_alarm_at_the_start_is_one_alarm_however_often_it_is_resumed(
    artefact: Artefact, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Bounds may be wider then, as long as the same things are measured."""
    watch = WatchConfig(interval=2, largest_force=1e-3)
    config = _config(artefact, watch=watch, on_alarm="rewind", steps=8)
    run = tmp_path / "run"
    assert run_simulation(config, run).status == "alarm"
    assert "not rewound from step 0: no state is before it" in capfd.readouterr().err
    for _ in range(2):
        assert run_simulation(config, run, resume=True).status == "alarm"
    (alarm,) = read_alarms(run / "alarms.csv")
    assert (alarm.step, alarm.criterion) == (0, "largest force")
    assert "going on from step 0 of 8" in capfd.readouterr().err
    with pytest.raises(InputError, match=r"with watch.interval 2, resumed with 3: a resume"):
        other = config.model_copy(update={"watch": watch.changed(interval=3)})
        run_simulation(other, run, resume=True)
    with pytest.raises(InputError, match=r"with watch.largest_force 0.001, resumed with 0"):
        unwatched = config.model_copy(update={"watch": watch.changed(largest_force=0.0)})
        run_simulation(unwatched, run, resume=True)
    wider = config.model_copy(update={"watch": watch.changed(largest_force=1e3)})
    assert run_simulation(wider, run, resume=True).status == "finished"
    assert not (run / "alarms.csv").exists()


@pytest.fixture(scope="module")
def rewound(
    artefact: Artefact, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SimulateConfig, Path]:
    """A run that was rewound twice, from a bound that any motion passes, and then stopped."""
    watch = WatchConfig(interval=2, frames=2, rewinds=2, bond_deviation=0.3)
    config = _config(artefact, watch=watch, on_alarm="rewind")
    path = tmp_path_factory.mktemp("rewound") / "run"
    run_simulation(config, path)
    return config, path


def test_a_rewound_run_is_whole_and_gives_up_in_the_end(
    rewound: tuple[SimulateConfig, Path],
) -> None:
    _, run = rewound
    summary = read_json(run / "summary.json")
    assert (summary["status"], summary["rewinds"], summary["exit_code"]) == ("alarm", 2, 4)
    record = read_json(run / "rewinds.json")
    assert not record["is_pending"]
    for rewind in record["rewinds"]:
        assert rewind["step"] in (0, *range(0, rewind["alarm_step"] - 3, 5))
    alarms = read_alarms(run / "alarms.csv")
    assert {alarm.rewinds for alarm in alarms} == {0, 1, 2}
    assert len({alarm.value for alarm in alarms}) == len(alarms)
    assert all((run / alarm.frames).exists() for alarm in alarms)
    for name, interval in {"ledger.csv": 4, "molecules.csv": 4, "watch.csv": 2}.items():
        rows = read_rows(run / name)
        assert rows[:, 0].tolist() == list(range(0, summary["steps_done"] + 1, interval))
        np.testing.assert_allclose(rows[:, 1], rows[:, 0] * 0.0005, atol=1e-12)
    assert len(_frames(run)) == summary["steps_done"] // 3


class Killed(BaseException):
    """Ends a run at once, as a kill does."""


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (rewinding, "_write"),
        *((run_module, name) for name in ("place_pending", "cut_tables", "write_record")),
        *((run_module, name) for name in ("draw_velocities", "write_checkpoint")),
    ],
)
def test_a_kill_in_the_middle_of_a_rewind_loses_nothing(
    module: ModuleType,
    function: str,
    rewound: tuple[SimulateConfig, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, whole = rewound
    run = tmp_path / "run"
    original = getattr(module, function)

    def killed(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        if rewinding.read_rewinds(RunFolder(run)).is_pending:
            raise Killed
        return result

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(module, function, killed)
        run_simulation(config, run)
    summary = run_simulation(config, run, resume=True)
    assert (summary.status, summary.rewinds) == ("alarm", 2)
    _assert_same(run, whole)


KILLED = """
import os, signal, sys
from pathlib import Path
from fisher_mlip.config import SimulateConfig, read_config
from fisher_mlip.simulate import run, run_simulation

run.draw_velocities = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
run_simulation(read_config(Path(sys.argv[1]), SimulateConfig), Path(sys.argv[2]))
"""


def test_a_real_kill_in_the_middle_of_a_rewind_loses_nothing(
    rewound: tuple[SimulateConfig, Path], tmp_path: Path
) -> None:
    config, whole = rewound
    write_yaml(tmp_path / "config.yaml", config.model_dump(exclude_none=True))
    run = tmp_path / "run"
    arguments = [str(tmp_path / "config.yaml"), str(run)]
    process = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert process.returncode == -signal.SIGKILL
    assert read_json(run / "rewinds.json")["is_pending"]
    run_simulation(config, run, resume=True)
    _assert_same(run, whole)


@pytest.fixture(scope="module")
def forty_steps(artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of forty steps, to be copied and damaged."""
    run = tmp_path_factory.mktemp("forty") / "run"
    run_simulation(_config(artefact, checkpoint_interval=20), run)
    return run


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("watch.json", '{"memories": {"40": {}}}', "expected 'raised' and 'criteria'"),
        ("watch.json", '{"memories": [1]}', "expected memories by step"),
        ("watch.json", "{", "expected JSON"),
        ("rewinds.json", '{"rewinds": [], "is_pending": true}', "one pending and none"),
        (
            "rewinds.json",
            '{"rewinds": [{"criterion": "x", "alarm_step": 9, "step": 3}], "is_pending": true}',
            "to rewind to, found none",
        ),
        ("state.xml", "", "expected a state in"),
    ],
)
def test_what_cannot_be_gone_on_with_is_told_and_left_as_it_is(
    name: str, content: str, told: str, artefact: Artefact, forty_steps: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(forty_steps, tmp_path / "run")
    (run / name).write_text(content or openmm.XmlSerializer.serialize(openmm.System()))
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    with pytest.raises(InputError, match=told):
        run_simulation(_config(artefact, checkpoint_interval=20, steps=60), run, resume=True)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_alarms_name_no_files_elsewhere(tmp_path: Path) -> None:
    """A resume deletes the frames of alarms that it cuts."""
    path = tmp_path / "alarms.csv"
    path.write_text(
        "step,time_ps,criterion,value,threshold,unit,where,action,frames,rewinds\n"
        "9,0.1,force,2.0,1.0,eV,atom 1,warn,../summary.json,0\n"
    )
    with pytest.raises(InputError, match="a plain name of frames"):
        read_alarms(path)


def test_the_command_stops_with_4_and_takes_bounds_from_the_file(
    artefact: Artefact, tmp_path: Path
) -> None:
    watch = WatchConfig(interval=2, frames=3, bond_deviation=0.02)
    config = _config(artefact, watch=watch).model_dump(exclude_none=True)
    write_yaml(tmp_path / "run.yaml", config)
    options = ["--config", str(tmp_path / "run.yaml"), "--on-alarm", "stop"]
    options += ["--watch-interval", "3", "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(app, ["simulate", *options])
    assert done.exit_code == 4, done.output
    assert "alarms.csv" in done.output
    written = read_yaml(tmp_path / "run" / "config.yaml")["watch"]
    assert (written["interval"], written["frames"]) == (3, 3)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"on_alarm": "rewind", "watch": WatchConfig(enabled=False)}, "rewind needs the watch"),
        ({"watch": WatchConfig(uncertainty=1.0)}, "needs an uncertainty_interval"),
        ({"uncertainty_interval": 10}, "carries no sampled heads"),
        ({"watch": WatchConfig(rdf_reference="absent.npz")}, "needs a periodic system"),
    ],
)
def test_refusals(short: MakeConfig, values: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        run_simulation(short(**values), tmp_path / "run")
    assert not (tmp_path / "run").exists()
