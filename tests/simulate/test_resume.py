"""Resuming: after a kill -9, after an end, and what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mdtraj
import numpy as np
import pytest
import torch

from fisher_mlip.config import SimulateConfig, read_yaml, write_yaml
from fisher_mlip.data import Frame, Frames, write_frames
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.products import write_json
from fisher_mlip.simulate import run_simulation
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.settings import merged_config

from .conftest import MakeConfig, read_rows, short_config

RUN = """
import sys
from pathlib import Path
from fisher_mlip.config import SimulateConfig, read_config
from fisher_mlip.simulate import run_simulation
run = Path(sys.argv[2])
run_simulation(read_config(Path(sys.argv[1]), SimulateConfig), run, resume=run.exists())
"""


def _kill_after(rows: int, config: SimulateConfig, run: Path) -> None:
    """Start a run in another process, or go on with it, and kill it after some rows."""
    config_path = run.with_suffix(".yaml")
    write_yaml(config_path, config.model_dump(exclude_unset=True))
    process = subprocess.Popen([sys.executable, "-c", RUN, str(config_path), str(run)])
    deadline = time.monotonic() + 120
    ledger = run / "ledger.csv"
    while not (ledger.exists() and len(ledger.read_bytes().splitlines()) > rows):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def _frames(run: Path) -> np.ndarray:
    segments = sorted(run.glob("trajectory*.dcd"), key=lambda path: ("part" in path.name, path))
    top = str(run / "topology.pdb")
    return np.concatenate([mdtraj.load_dcd(str(path), top=top).xyz for path in segments])


def _assert_same_run(run: Path, whole: Path) -> None:
    """Check that two runs have the same rows and frames to the last bit, speeds aside."""
    for name, columns in (("ledger.csv", slice(0, -1)), ("molecules.csv", slice(None))):
        found, expected = read_rows(run / name), read_rows(whole / name)
        assert found[:, 0].tolist() == expected[:, 0].tolist()
        np.testing.assert_array_equal(found[:, columns], expected[:, columns])
    np.testing.assert_array_equal(_frames(run), _frames(whole))


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two of torch's threads here and in every process that is started."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_killed_twice_is_the_uninterrupted_run(short: MakeConfig, tmp_path: Path) -> None:
    """The report interval of 3, the trajectory's of 4 and the checkpoint's of 10 never agree."""
    values = {"report_interval": 3, "trajectory_interval": 4, "checkpoint_interval": 10}
    config = short(steps=200, **values)
    run = tmp_path / "killed"
    for rows in (8, 30):
        _kill_after(rows, config, run)
    step = json.loads((run / "checkpoint.json").read_text())["step"]
    assert 0 < step < 200
    with (run / "ledger.csv").open("a") as ledger:
        ledger.write("199,0.09")
    with (run / "trajectory.part0002.dcd").open("ab") as trajectory:
        trajectory.write(b"\x48\x00\x00")
    summary = run_simulation(config, run, resume=True)
    assert summary.status == "finished"
    whole = tmp_path / "whole"
    run_simulation(config, whole)
    assert (run / "trajectory.part0003.dcd").exists()
    _assert_same_run(run, whole)
    rows = (run / "ledger.csv").read_text().splitlines(keepends=True)
    for sabotaged in ([*rows[:9], *rows[8:]], [*rows[:8], *rows[9:]]):
        (run / "ledger.csv").write_text("".join(sabotaged))
        with pytest.raises(AssertionError):
            _assert_same_run(run, whole)


@pytest.fixture(scope="module")
def twenty_steps(artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of twenty steps without a stop."""
    run = tmp_path_factory.mktemp("twenty") / "run"
    run_simulation(short_config(artefact, steps=20), run)
    return run


@pytest.fixture(scope="module")
def two_steps(artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, to be copied and damaged."""
    run = tmp_path_factory.mktemp("two") / "run"
    run_simulation(short_config(artefact, steps=2), run)
    return run


def test_a_resume_keeps_the_route_and_tells_of_another_kernel(
    short: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`auto` would take another one where a compiler came or went meanwhile."""
    run = tmp_path / "run"
    run_simulation(short(steps=2, route="python"), run)
    assert "goes on with" not in capsys.readouterr().err
    reference = json.loads((run / "reference.json").read_text())
    assert reference["kernel"] == "fused"
    write_json(run / "reference.json", reference | {"kernel": "torchscript"})
    summary = run_simulation(short(steps=4), run, resume=True)
    assert summary.force_route.startswith("PythonForce")
    said = " ".join(capsys.readouterr().err.split())
    assert "was begun with the torchscript kernel and goes on with the fused one" in said
    with pytest.raises(InputError, match="run with route 'python', resumed with 'torchforce'"):
        run_simulation(short(steps=6, route="torchforce"), run, resume=True)


def test_auto_is_settled_at_the_start(short: MakeConfig, tmp_path: Path) -> None:
    run_simulation(short(steps=2), tmp_path / "run")
    assert read_yaml(tmp_path / "run" / "config.yaml")["route"] == "python"


def test_more_steps_after_the_end(short: MakeConfig, twenty_steps: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    finished = run_simulation(short(), run)
    assert run_simulation(short(), run, resume=True) == finished
    run_simulation(short(steps=20), run, resume=True)
    _assert_same_run(run, twenty_steps)
    with pytest.raises(InputError, match="not fewer"):
        run_simulation(short(), run, resume=True)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_resumed_noise_is_not_the_first_noise_again(
    platform: str, short: MakeConfig, tmp_path: Path
) -> None:
    """With a friction this large the velocities are the noise: equal noise, equal energy."""
    config = short(ensemble="nvt", platform=platform, steps=1, report_interval=1, friction=1e6)
    first = []
    for run in (tmp_path / "a", tmp_path / "b"):
        run_simulation(config, run)
        first.append(read_rows(run / "ledger.csv")[1, 3])
    assert first[0] == pytest.approx(first[1], rel=1e-9)
    run_simulation(config.model_copy(update={"steps": 2}), tmp_path / "b", resume=True)
    resumed = read_rows(tmp_path / "b" / "ledger.csv")[2, 3]
    assert resumed != pytest.approx(first[0], rel=1e-3)


def test_other_configurations_are_refused(
    short: MakeConfig, exploding: Artefact, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(InputError, match="expected a run to resume"):
        run_simulation(short(), run, resume=True)
    run_simulation(short(steps=2), run)
    with pytest.raises(InputError, match=r"run with timestep 0.5, resumed with 0.25"):
        run_simulation(short(steps=4, timestep=0.25), run, resume=True)
    with pytest.raises(InputError, match="is not the model"):
        run_simulation(short(steps=4, model=str(exploding.path)), run, resume=True)
    (run / "state.xml").write_text("torn")
    with pytest.raises(InputError, match="expected a state in"):
        run_simulation(short(steps=4), run, resume=True)


@pytest.mark.parametrize(("key", "value"), [("timestep", 2.0), ("ensemble", "nvt")])
def test_an_edited_configuration_is_not_what_the_run_was_started_with(
    key: str, value: object, short: MakeConfig, tmp_path: Path
) -> None:
    """What a run was started with stands in its reference, whatever its config.yaml says later."""
    run = tmp_path / "run"
    run_simulation(short(steps=2), run)
    path = RunFolder(run).config
    write_yaml(path, read_yaml(path) | {key: value})
    with pytest.raises(InputError, match=f"was run with {key} .* resumed with {value!r}"):
        run_simulation(merged_config({"steps": 4}, None, run), run, resume=True)


def test_start_frames_count_by_their_content(short: MakeConfig, tmp_path: Path) -> None:
    """A folder that was copied with all that it needs is gone on with."""
    frame = Frame(ATOMIC_NUMBERS, ethanol_positions(), energy=0.0, forces=np.zeros((9, 3)))
    first, copied = tmp_path / "first" / "start.xyz", tmp_path / "copied" / "start.xyz"
    write_frames(first, Frames((frame,)))
    copied.parent.mkdir()
    shutil.copy(first, copied)
    run = tmp_path / "run"
    run_simulation(short(steps=2, start_frames=str(first)), run)
    run_simulation(short(steps=4, start_frames=str(copied)), run, resume=True)
    write_frames(copied, Frames((frame, frame)))
    with pytest.raises(InputError, match="was run with start_frames"):
        run_simulation(short(steps=6, start_frames=str(copied)), run, resume=True)
    first.unlink()
    run_simulation(short(steps=6, start_frames=str(first)), run, resume=True)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("checkpoint.json", {}, "'step' in .*checkpoint.json': field required"),
        ("checkpoint.json", {"step": 2, "segments": []}, "'segments' in .*checkpoint.json'"),
        (
            "checkpoint.json",
            {"step": 2, "segments": [{"file": "../victim.dcd", "first_step": 0}]},
            "expected a plain name in the run folder, found '../victim.dcd'",
        ),
        ("reference.json", {}, "in .*reference.json': field required"),
        ("summary.json", {}, "expected a key 'status' in .*summary.json', found no keys"),
    ],
)
def test_a_damaged_folder_is_told(
    name: str, content: dict[str, object], told: str, two_steps: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(two_steps, run)
    write_json(run / name, content)
    steps = 2 if name == "summary.json" else 4
    with pytest.raises(InputError, match=told):
        run_simulation(merged_config({"steps": steps}, None, run), run, resume=True)
