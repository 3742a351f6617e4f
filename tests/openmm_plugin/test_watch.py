"""The watch in a running simulation: what it writes, when it stops, what it remembers."""

import csv
import json
from pathlib import Path

import ase.io
import mdtraj
import numpy as np
import openmm
import pytest
from openmm.app import Simulation

from fisher_mlip.errors import UnstableRunError
from openmm_plugin import InstabilityError, InstabilityWatch
from openmm_plugin.watch import Alarm, Criterion, Look, append_alarm, cut_alarms, read_alarms

from .conftest import MakeSprings, read_rows


class FarAtom(Criterion):
    """How far the first atom has gone, Å; a bound for tests."""

    name = "distance gone"
    unit = "Å"

    def measure(self, look: Look) -> float:
        return float(np.linalg.norm(look.positions[0]))


def flying(springs: MakeSprings) -> Simulation:
    """A simulation whose first atom flies off, 1 Å every step of 0.001 ps."""
    simulation = springs(openmm.VerletIntegrator(0.001))
    simulation.context.setPositions(np.zeros((4, 3)))
    velocities = np.zeros((4, 3))
    velocities[0, 0] = 100.0
    simulation.context.setVelocities(velocities)
    return simulation


def watch(folder: Path, bound: float, **values: object) -> InstabilityWatch:
    return InstabilityWatch(folder, 1, [FarAtom(bound)], frames=3, **values)  # type: ignore[arg-type]


def test_a_warning_is_written_once_with_the_frames_before(
    springs: MakeSprings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulation = flying(springs)
    tmp_path /= "not yet there"
    simulation.reporters.append(watch(tmp_path, 4.5))
    simulation.step(8)
    columns, rows = read_rows(tmp_path / "watch.csv")
    assert columns == ["Step", "Time (ps)", "Distance gone (Å)"]
    assert rows[:, 0].tolist() == list(range(9))
    (alarm,) = read_alarms(tmp_path / "alarms.csv")
    assert (alarm.step, alarm.criterion, alarm.threshold) == (5, "distance gone", 4.5)
    assert alarm.value == rows[5, 2]
    assert alarm.action == "warn"
    assert capsys.readouterr().err.count("distance gone is") == 1
    frames = ase.io.read(tmp_path / alarm.frames, ":")
    assert [frame.info["step"] for frame in frames] == [3, 4, 5]
    assert "the bound is 4.5 Å" in frames[-1].info["alarm"]
    assert frames[-1].arrays["velocities"][0, 0] > 0.1  # Å/fs
    topology = mdtraj.Topology.from_openmm(simulation.topology)
    loaded = mdtraj.load(str(tmp_path / alarm.frames), top=topology)
    np.testing.assert_allclose(10 * loaded.xyz[-1], frames[-1].positions, atol=1e-5)
    state = openmm.XmlSerializer.deserialize((tmp_path / "alarm-5.xml").read_text())
    assert state.getStepCount() == 5
    rows_read = list(csv.DictReader((tmp_path / "alarms.csv").read_text().splitlines()))
    assert [row["frames"] for row in rows_read] == ["alarm-5.xyz"]


def test_a_bound_that_is_not_passed_is_silent(
    springs: MakeSprings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulation = flying(springs)
    simulation.reporters.append(watch(tmp_path, 1000.0, action="stop"))
    simulation.step(8)
    assert [path.name for path in tmp_path.iterdir()] == ["watch.csv"]
    assert capsys.readouterr().err == ""


def test_a_stop_raises_after_the_row(springs: MakeSprings, tmp_path: Path) -> None:
    simulation = flying(springs)
    simulation.reporters.append(watch(tmp_path, 4.5, action="stop"))
    with pytest.raises(InstabilityError, match=r"distance gone is .* at step 5") as told:
        simulation.step(8)
    assert isinstance(told.value, UnstableRunError)
    assert told.value.alarm == read_alarms(tmp_path / "alarms.csv")[0]
    assert read_rows(tmp_path / "watch.csv")[1][-1, 0] == simulation.currentStep == 5


def test_numbers_that_are_not_finite_are_an_alarm(springs: MakeSprings, tmp_path: Path) -> None:
    simulation = flying(springs)
    simulation.reporters.append(watch(tmp_path, 1000.0, action="stop"))
    simulation.step(2)
    simulation.context.setVelocities(np.full((4, 3), np.inf))
    with pytest.raises(InstabilityError, match="not finite is"):
        simulation.step(3)
    (alarm,) = read_alarms(tmp_path / "alarms.csv")
    assert ase.io.read(tmp_path / alarm.frames, 0).info["step"] < alarm.step
    assert not (tmp_path / f"alarm-{alarm.step}.xml").exists()


def test_memory_goes_on(springs: MakeSprings, tmp_path: Path) -> None:
    """A criterion that has raised its alarm does not raise it again after a restart."""
    simulation = flying(springs)
    first = watch(tmp_path, 2.5)
    simulation.reporters.append(first)
    simulation.step(4)
    memory = json.loads(json.dumps(first.memory()))
    simulation.reporters = [watch(tmp_path, 2.5, append=True, memory=memory)]
    simulation.step(3)
    assert len(read_alarms(tmp_path / "alarms.csv")) == 1
    simulation.reporters = [watch(tmp_path, 2.5, append=True)]
    simulation.step(1)
    assert len(read_alarms(tmp_path / "alarms.csv")) == 2


def test_forces_are_asked_for_at_their_own_interval(springs: MakeSprings, tmp_path: Path) -> None:
    simulation = springs(openmm.VerletIntegrator(0.001))
    reporter = InstabilityWatch(tmp_path, 2, force_interval=6)
    simulation.reporters.append(reporter)
    simulation.step(12)
    columns, rows = read_rows(tmp_path / "watch.csv")
    forces = rows[:, columns.index("Largest force (eV/Å)")]
    assert np.isfinite(forces).tolist() == [step % 6 == 0 for step in range(0, 13, 2)]
    assert reporter.needs(2) == ["positions", "velocities"]


def _alarm(step: int, rewinds: int, frames: str = "") -> Alarm:
    return Alarm(step, 0.1, "bond deviation", 0.6, 0.5, "Å", "C1-H2", "rewind", frames, rewinds)


def test_cutting_keeps_what_was_before_the_rewind(tmp_path: Path) -> None:
    path = tmp_path / "alarms.csv"
    alarms = [_alarm(50, 0), _alarm(30, 1), _alarm(60, 1, "alarm-60.xyz")]
    for alarm in alarms:
        append_alarm(path, alarm)
    for name in ("alarm-60.xyz", "alarm-60.xml"):
        (tmp_path / name).touch()
    with path.open("a") as handle:
        handle.write("61,0.1,bond")
    assert read_alarms(path) == alarms
    cut_alarms(path, 40, 1)
    assert read_alarms(path) == alarms[:2]
    assert path.read_text().endswith("\n")
    assert [found.name for found in tmp_path.iterdir()] == ["alarms.csv"]
    cut_alarms(path, 0, 0)
    assert not path.exists()
