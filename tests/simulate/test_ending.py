"""How runs end before their last step: signals, explosions, full disks, a second process."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from openmm import unit
from openmm.app import PDBFile

from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.simulate import run_simulation
from fisher_mlip.simulate.folder import RunFolder

from .conftest import MakeConfig, read_rows


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_a_checkpoint(
    kind: signal.Signals, short: MakeConfig, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    def send_when_running() -> None:
        while not (run / "trajectory.dcd").exists():
            pass
        os.kill(os.getpid(), kind)

    before = signal.getsignal(kind)
    sender = threading.Thread(target=send_when_running)
    sender.start()
    summary = run_simulation(short(steps=1_000_000), run)
    sender.join()
    assert signal.getsignal(kind) is before
    assert (summary.status, summary.exit_code) == ("interrupted", 130)
    assert 3 <= summary.steps_done < 1_000_000
    assert json.loads((run / "checkpoint.json").read_text())["step"] == summary.steps_done
    assert json.loads((run / "summary.json").read_text())["status"] == "interrupted"


def test_an_explosion_is_unstable(short: MakeConfig, exploding: Artefact, tmp_path: Path) -> None:
    run = tmp_path / "run"
    values = {"report_interval": 4, "trajectory_interval": 100, "checkpoint_interval": 100}
    summary = run_simulation(short(model=str(exploding.path), **values), run)
    assert (summary.status, summary.exit_code) == ("unstable", 3)
    assert summary.first_nonfinite_step == 4
    assert "step 4" in summary.message
    assert read_rows(run / "ledger.csv")[:, 0].tolist() == [0]
    shown = PDBFile(str(run / "unstable.pdb"))
    start = PDBFile(str(run / "topology.pdb"))
    np.testing.assert_allclose(
        shown.getPositions(asNumpy=True) / unit.nanometer,
        start.getPositions(asNumpy=True) / unit.nanometer,
        atol=1e-4,
    )
    assert "positions of step 0" in (run / "unstable.pdb").read_text()
    assert json.loads((run / "checkpoint.json").read_text())["step"] == 0


def test_a_state_that_is_not_finite_is_not_saved(
    short: MakeConfig, exploding: Artefact, tmp_path: Path
) -> None:
    """The ledger looks at step 400 only; the checkpoints in between must not keep an overflow."""
    values = {"report_interval": 400, "trajectory_interval": 400, "checkpoint_interval": 1}
    run = tmp_path / "run"
    config = short(model=str(exploding.path), steps=400, timestep=10.0, **values)
    summary = run_simulation(config, run)
    assert summary.status == "unstable"
    state = (run / "state.xml").read_text()
    assert "nan" not in state
    assert "inf" not in state


def test_two_processes_do_not_share_a_folder(short: MakeConfig, tmp_path: Path) -> None:
    run_simulation(short(steps=2), tmp_path / "run")
    with (
        RunFolder(tmp_path / "run").locked(),
        pytest.raises(InputError, match="another process"),
    ):
        run_simulation(short(steps=4), tmp_path / "run", resume=True)


def test_a_full_disk_says_how_to_go_on(
    short: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunFolder, "ledger", property(lambda self: Path("/dev/full")))
    with pytest.raises(OSError, match="free space, then go on with --resume"):
        run_simulation(short(), tmp_path / "run")


@pytest.mark.parametrize("made_again", [False, True])
def test_a_folder_that_is_deleted_ends_the_run(
    made_again: bool, short: MakeConfig, tmp_path: Path
) -> None:
    """Also where another folder has its name: that one belongs to somebody else."""
    run = tmp_path / "run"

    def delete_when_running() -> None:
        while not (run / "trajectory.dcd").exists():
            time.sleep(0.001)
        run.rename(tmp_path / "gone")
        if made_again:
            run.mkdir()

    deleter = threading.Thread(target=delete_when_running)
    deleter.start()
    with pytest.raises(FileNotFoundError, match="deleted or moved while the run went"):
        run_simulation(short(steps=1_000_000), run)
    deleter.join()
    assert not run.exists() or not any(run.iterdir())
