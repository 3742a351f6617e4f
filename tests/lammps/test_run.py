"""`simulate --engine lammps`: a run folder, resumed after anything, ended in words."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from typer.testing import CliRunner

from fisher_mlip.analysis.reading import read_run
from fisher_mlip.cli.app import app
from fisher_mlip.data.frames import Frame
from fisher_mlip.export.lammps_artefact import LammpsArtefact
from fisher_mlip.lammps.folder import LammpsFolder
from fisher_mlip.lammps.outcome import find_failure, last_step
from fisher_mlip.products import read_json
from fisher_mlip.simulate.records import CheckpointRecord
from tests.lammps.engine import needs_lammps

pytestmark = [needs_lammps, pytest.mark.usefixtures("plugin")]

INTERVALS = ["--report-interval", "5", "--trajectory-interval", "10", "--checkpoint-interval", "20"]
Simulate = Callable[..., tuple[int, str]]


@pytest.fixture
def simulate(in_float64: LammpsArtefact, liquid: Frame, tmp_path: Path) -> Simulate:
    """`fisher-mlip simulate` of the liquid, in this process."""
    system = tmp_path / "box.xyz"
    write(system, Atoms(liquid.atomic_numbers, liquid.positions, cell=liquid.cell, pbc=True))

    def run(*options: str) -> tuple[int, str]:
        start = ["simulate", str(in_float64.path), "--engine", "lammps", "--system", str(system)]
        given = [*start, "--temperature", "300", "--timestep", "0.1", "-o", str(tmp_path / "run")]
        result = CliRunner().invoke(app, [*given, *INTERVALS, *options])
        return result.exit_code, result.output

    return run


def command(tmp_path: Path, model: Path, *options: str) -> list[str]:
    """Return the same as a command of its own."""
    start = [sys.executable, "-m", "fisher_mlip", "simulate", str(model), "--engine", "lammps"]
    given = ["--system", str(tmp_path / "box.xyz"), "--temperature", "300", "--timestep", "0.1"]
    return [*start, *given, "-o", str(tmp_path / "run"), *INTERVALS, *options]


def energies(folder: Path) -> dict[int, float]:
    """Return the total energy by step."""
    ledger = read_run(folder).ledger
    steps = np.round(ledger.time_ps / 1e-4).astype(int)
    return dict(zip(steps.tolist(), ledger.total.tolist(), strict=True))


def test_a_run_folder(simulate: Simulate, tmp_path: Path) -> None:
    code, text = simulate("--steps", "40", "--ranks", "2", "--uncertainty-interval", "10")
    assert code == 0, text
    folder = LammpsFolder(tmp_path / "run")
    summary = read_json(folder.summary)
    assert summary["status"] == "finished"
    assert (summary["steps_done"], summary["platform"]) == (40, "LAMMPS")
    assert "2 ranks" in summary["force_route"]
    for names in summary["paths"].values():
        for name in [names] if isinstance(names, str) else names:
            assert (folder.path / name).exists()
            assert f"wrote {folder.path / name}" in text
    assert list(folder.restarts()) == [20, 40]
    assert list(energies(folder.path)) == list(range(0, 41, 5))
    rows = np.loadtxt(folder.uncertainty, delimiter=",", ndmin=2)
    assert rows[:, 0].tolist() == [0, 10, 20, 30, 40]
    assert (rows[:, 2] >= rows[:, 3]).all()
    assert (rows[:, 3] > 0.0).all()


def test_more_steps_and_other_ranks(simulate: Simulate, tmp_path: Path) -> None:
    assert simulate("--steps", "40")[0] == 0
    assert simulate("--steps", "60", "--ranks", "2", "--restart", "auto")[0] == 0
    folder = LammpsFolder(tmp_path / "run")
    record = CheckpointRecord.read(folder.record)
    assert [part.first_step for part in record.segments] == [0, 40]
    found = energies(folder.path)
    assert list(found) == list(range(0, 61, 5))
    assert simulate("--steps", "60", "--overwrite")[0] == 0
    whole = energies(folder.path)
    assert max(abs(found[step] - whole[step]) for step in whole) < 1e-9


@pytest.mark.parametrize("ranks", ["1", "2"])
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on(
    simulate: Simulate, in_float64: LammpsArtefact, tmp_path: Path, kill: int, ranks: str
) -> None:
    """At most one checkpoint interval is lost, LAMMPS ends with its driver, and no row is twice."""
    folder = LammpsFolder(tmp_path / "run")
    options = ["--steps", "100000", "--ranks", ranks]
    process = subprocess.Popen(
        command(tmp_path, in_float64.path, *options), stderr=subprocess.DEVNULL
    )
    wait_until(lambda: (last_step(folder.log(1)) or 0) >= 50)
    process.send_signal(kill)
    process.wait(30)
    wait_until(lambda: not running_in(folder.path))
    reached = last_step(folder.log(1)) or 0
    assert reached - max(folder.restarts()) <= 20 + 5
    assert process.returncode == (-kill if kill == signal.SIGKILL else 130)
    if kill == signal.SIGINT:
        assert read_json(folder.summary)["status"] == "interrupted"
    steps = max(folder.restarts()) + 40
    config = folder.config.read_text().replace("steps: 100000", f"steps: {steps}")
    folder.config.write_text(config)
    code, text = simulate("--steps", str(steps), "--ranks", ranks, "--resume")
    assert code == 0, text
    assert list(energies(folder.path)) == list(range(0, steps + 1, 5))


def test_killed_before_its_first_checkpoint(
    simulate: Simulate, in_float64: LammpsArtefact, tmp_path: Path
) -> None:
    folder = LammpsFolder(tmp_path / "run")
    process = subprocess.Popen(
        command(tmp_path, in_float64.path, "--steps", "40"), stderr=subprocess.DEVNULL
    )
    wait_until(folder.log(1).exists)
    process.kill()
    process.wait(30)
    wait_until(lambda: not running_in(folder.path))
    assert simulate("--steps", "40", "--restart", "auto")[0] == 0
    assert list(energies(folder.path)) == list(range(0, 41, 5))


def test_a_torn_restart_file_is_passed_over(simulate: Simulate, tmp_path: Path) -> None:
    assert simulate("--steps", "40")[0] == 0
    folder = LammpsFolder(tmp_path / "run")
    torn = folder.path / "restart.40"
    torn.write_bytes(torn.read_bytes()[:-100])
    assert list(folder.restarts()) == [20]
    folder.summary.unlink()
    assert simulate("--steps", "40", "--resume")[0] == 0
    assert list(energies(folder.path)) == list(range(0, 41, 5))


def test_a_run_without_its_summary_has_nothing_left_to_do(
    simulate: Simulate, tmp_path: Path
) -> None:
    """Killed between LAMMPS's end and our own."""
    assert simulate("--steps", "40")[0] == 0
    folder = LammpsFolder(tmp_path / "run")
    folder.summary.unlink()
    assert simulate("--steps", "40", "--restart", "auto")[0] == 0
    assert read_json(folder.summary)["status"] == "finished"
    assert list(energies(folder.path)) == list(range(0, 41, 5))


def test_another_model_in_the_folder_is_not_gone_on_with(
    simulate: Simulate, for_lammps: LammpsArtefact, tmp_path: Path
) -> None:
    """LAMMPS reads the copy; what is compared with the start is the model that is named."""
    assert simulate("--steps", "20")[0] == 0
    folder = LammpsFolder(tmp_path / "run")
    own = folder.model.read_bytes()
    folder.model.write_bytes(for_lammps.path.read_bytes() + b"another")
    assert simulate("--steps", "40", "--resume")[0] == 0
    assert folder.model.read_bytes() == own


def test_a_restart_file_of_another_step_is_refused(simulate: Simulate, tmp_path: Path) -> None:
    assert simulate("--steps", "20")[0] == 0
    folder = LammpsFolder(tmp_path / "run").path
    (folder / "restart.20").rename(folder / "restart.30")
    code, text = simulate("--steps", "40", "--resume")
    assert code == 2
    assert "restart.30 is no restart file of this run" in text
    assert "144 atoms at step 30, found 144 at step 20" in text


def test_the_uncertainty_after_a_resume(simulate: Simulate, tmp_path: Path) -> None:
    given = ("--uncertainty-interval", "10")
    assert simulate("--steps", "20", *given)[0] == 0
    assert simulate("--steps", "40", *given, "--resume")[0] == 0
    rows = np.loadtxt(tmp_path / "run" / "uncertainty.csv", delimiter=",", ndmin=2)
    assert rows[:, 0].tolist() == [0, 10, 20, 30, 40]


def test_a_plane_without_a_box(simulate: Simulate, tmp_path: Path) -> None:
    """Atoms whose extent along an axis is nothing."""
    system = tmp_path / "water.xyz"
    write(system, Atoms("OH2", [[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]]))
    code, text = simulate("--steps", "10", "--system", str(system), "--temperature", "0")
    assert code == 0, text


def test_a_run_that_explodes(simulate: Simulate, tmp_path: Path) -> None:
    code, text = simulate("--steps", "400", "--timestep", "9.0")
    assert code == 3, text
    summary = read_json(tmp_path / "run" / "summary.json")
    assert summary["status"] == "unstable"
    assert summary["first_nonfinite_step"] is not None
    assert "LAMMPS after step" in text
    assert read_run(tmp_path / "run").ledger.first_nonfinite_ps is not None


def test_an_explosion_ends_the_run_where_states_are_left(
    simulate: Simulate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hotter than anything, but no NaN and no atom lost: here a bound that 300 K pass."""
    monkeypatch.setattr("fisher_mlip.lammps.input_script.EXPLODED", -2900.0)
    code, text = simulate("--steps", "40")
    assert code == 3, text
    assert "fix-id explosion" in text
    assert read_json(tmp_path / "run" / "summary.json")["status"] == "unstable"


def test_a_watch_that_stops(simulate: Simulate, tmp_path: Path) -> None:
    """By the temperature, by the uncertainty; not by a run as it should be."""
    config = tmp_path / "watch.yaml"
    folder = LammpsFolder(tmp_path / "run")
    bounds = {"temperature_ratio: 0.5": "temperature of", "uncertainty: 1e-9": "uncertainty of"}
    for bound, sentence in bounds.items():
        config.write_text(f"watch: {{{bound}}}\n")
        given = ("--config", str(config), "--uncertainty-interval", "10", "--overwrite")
        code, text = simulate("--steps", "40", "--on-alarm", "stop", *given)
        assert code == 4, text
        assert sentence in text
        assert read_json(folder.summary)["status"] == "alarm"
        assert max(folder.restarts()) < 40
        assert simulate("--steps", "40", "--on-alarm", "warn", *given)[0] == 0
    config.write_text("watch: {temperature_ratio: 100.0}\n")
    given = ("--config", str(config), "--overwrite")
    assert simulate("--steps", "40", "--on-alarm", "stop", *given)[0] == 0


def test_what_is_not_for_lammps_is_refused(simulate: Simulate, tmp_path: Path) -> None:
    refused = {
        "platform 'CPU'": ("--platform", "CPU"),
        "inner 'opls'": ("--inner", "opls"),
        "expected on_alarm warn or stop": ("--on-alarm", "rewind"),
        "do not see each other": ("--system", "ethanol-gas"),
    }
    for sentence, options in refused.items():
        code, text = simulate("--steps", "5", *options)
        assert code == 2
        assert sentence in text
        assert len(text.strip().splitlines()) == 1
        assert not (tmp_path / "run").exists()


def test_elements_that_the_model_does_not_know(simulate: Simulate, tmp_path: Path) -> None:
    write(tmp_path / "argon.xyz", Atoms("Ar2", [[0.0, 0, 0], [4.0, 0, 0]]))
    code, text = simulate("--steps", "5", "--system", str(tmp_path / "argon.xyz"))
    assert code == 2
    assert "knows the elements H, C, O, found also Ar" in text
    assert not (tmp_path / "run").exists()


def test_ranks_are_for_lammps(in_float64: LammpsArtefact, tmp_path: Path) -> None:
    given = ["simulate", str(in_float64.path), "--ranks", "2", "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 2
    assert "ranks 2 is of the engine lammps" in result.output


def test_the_other_engines_model_is_refused(artefact: object, tmp_path: Path) -> None:
    model = str(artefact.path)  # type: ignore[attr-defined]
    given = ["simulate", model, "--engine", "lammps", "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 2
    assert "export --target lammps" in result.output


def test_failures_in_words(tmp_path: Path) -> None:
    log, screen = tmp_path / "log.lammps", tmp_path / "screen.txt"
    assert find_failure(log, screen) is None
    log.write_text("ERROR on proc 1: Bond atoms 1 2 missing on proc 0 (src/src/ntopo.cpp:59)\n")
    failure = find_failure(log, screen)
    assert failure is not None
    assert failure.is_unstable
    assert failure.message == "Bond atoms 1 2 missing on proc 0"
    log.write_text("ERROR: Unknown command: foo\n")
    failure = find_failure(log, screen)
    assert failure is not None
    assert not failure.is_unstable


def running_in(folder: Path) -> list[str]:
    """Return the processes whose working folder is the run's."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").samefile(folder) and (entry / "exe").exists():
                found.append(entry.name)
        except OSError:
            continue
    return found


def wait_until(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_info_of_a_run(simulate: Simulate, tmp_path: Path) -> None:
    assert simulate("--steps", "20")[0] == 0
    result = CliRunner().invoke(app, ["info", str(tmp_path / "run")])
    assert result.exit_code == 0
    lines = dict(line.split(None, 1) for line in result.output.splitlines() if " " in line)
    assert (lines["status"], lines["last_step"]) == ("finished", "20")
    assert lines["engine"] == "lammps"


def test_the_uncertainty_along_a_run(simulate: Simulate, tmp_path: Path) -> None:
    """`analyze` finds what `fix pair` found while the run went."""
    assert simulate("--steps", "20", "--uncertainty-interval", "10")[0] == 0
    report = tmp_path / "report"
    given = ["analyze", str(tmp_path / "run"), "--uncertainty", "2", "-o", str(report)]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    found = read_json(report / "summary.json")["runs"][0]["force_uncertainty_largest_meV_A"]
    rows = np.loadtxt(tmp_path / "run" / "uncertainty.csv", delimiter=",")
    # Positions come from a dump of ten digits, read by mdtraj in float32.
    assert np.allclose(found, 1000.0 * rows[1:, 2], rtol=1e-3)
