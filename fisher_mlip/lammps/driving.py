"""Drives a LAMMPS process to its end, a wish to stop, or its blow-up."""

import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fisher_mlip.config import SimulateConfig
from fisher_mlip.errors import InputError
from fisher_mlip.interruption import Interruption, noted_interruption
from fisher_mlip.lammps.folder import LammpsFolder
from fisher_mlip.lammps.halting import find_halt
from fisher_mlip.lammps.launching import (
    lammps_command,
    lammps_environment,
    start_process,
    stop_process,
)
from fisher_mlip.lammps.outcome import Failure, find_failure, has_finished, last_step, refusal
from fisher_mlip.lammps.settings import threads_per_rank
from fisher_mlip.simulate.integrators import momentum_groups
from fisher_mlip.simulate.progress import show_note, shown_progress
from fisher_mlip.simulate.records import CheckpointRecord, Segment
from fisher_mlip.simulate.summary import RunSummary, Status, package_versions
from fisher_mlip.simulate.systems import MolecularSystem
from openmm_plugin.kinetics import atomic_degrees_of_freedom

NS_PER_FS = 1e-6
SECONDS_PER_DAY = 86400.0
POLL_SECONDS = 0.2
_ROLES = ("config", "topology", "reference", "data", "model", "uncertainty")


@dataclass(frozen=True, eq=False)
class LammpsRun:
    """A part of a run that is about to start.

    Attributes:
        config: what to run.
        folder: with LAMMPS's input in it.
        molecular: its atoms.
        plugin: folder of the pair style.
        segments: of the trajectory; the last is the one to be written.
        first_step: that it starts from.
    """

    config: SimulateConfig
    folder: LammpsFolder
    molecular: MolecularSystem
    plugin: Path
    segments: list[Segment]
    first_step: int = 0

    @property
    def part(self) -> int:
        return len(self.segments)

    @property
    def log(self) -> Path:
        return self.folder.log(self.part)

    @property
    def step(self) -> int:
        """The last step that the log has."""
        return last_step(self.log) or self.first_step

    @property
    def threads(self) -> int:
        return threads_per_rank(self.config.ranks)


def drive(run: LammpsRun) -> RunSummary:
    """Run LAMMPS over a part, and say what came of it.

    Raises:
        InputError: LAMMPS or MPI is missing, LAMMPS refuses the input, or was ended by something
            else than the run.
    """
    folder, config = run.folder, run.config
    command = lammps_command(folder.script(run.part), run.log, config.ranks)
    environment = lammps_environment(run.plugin, run.threads)
    processors = len(os.sched_getaffinity(0))
    if config.ranks * run.threads > processors:
        show_note(
            f"{config.ranks} ranks of {run.threads} threads share {processors} processors: fewer "
            "are faster"
        )
    start = time.perf_counter()
    with noted_interruption() as interruption:
        process = start_process(command, folder.path, environment, folder.screen)
        try:
            _wait(run, process, interruption)
        finally:
            if process.poll() is None:
                stop_process(process)
    seconds = time.perf_counter() - start
    folder.sweep_restarts()
    status, message = _status(run, process.returncode, is_stopped=interruption.wanted)
    record = CheckpointRecord.read(folder.record)
    reached = max(folder.restarts(), default=0)
    folder.write_record(CheckpointRecord(step=reached, segments=record.segments))
    return _summary(run, status, message, seconds)


def _wait(run: LammpsRun, process: "subprocess.Popen[bytes]", interruption: Interruption) -> None:
    start = time.perf_counter()
    with shown_progress(run.folder.path.name, run.first_step, run.config.steps) as show:
        while process.poll() is None and not interruption.wanted:
            time.sleep(POLL_SECONDS)
            step = run.step
            show(step, _ns_per_day(run, step, time.perf_counter() - start))
            run.folder.sweep_restarts()
        show(run.step, _ns_per_day(run, run.step, time.perf_counter() - start))


def _status(run: LammpsRun, exit_code: int, *, is_stopped: bool) -> tuple[Status, str]:
    """Return what a part came to, and the reason in a sentence.

    Raises:
        InputError: it did not begin, or something else than the run ended it.
    """
    if exit_code == 0 and has_finished(run.log):
        halt = find_halt(run.log)
        return ("alarm", halt) if halt else ("finished", "")
    if is_stopped:
        return (
            "interrupted",
            "a signal asked the run to stop: --resume goes on from its last restart file",
        )
    failure = find_failure(run.log, run.folder.screen)
    if failure is not None and failure.is_unstable:
        return "unstable", f"LAMMPS after step {run.step}: {failure.message}"
    if last_step(run.log) is None:
        raise refusal(failure, run.folder.screen)
    raise InputError(
        f"LAMMPS ended after step {run.step} with exit code {exit_code}: {_reason(run, failure)}; "
        "--resume goes on from its last restart file"
    )


def _reason(run: LammpsRun, failure: Failure | None) -> str:
    if failure is not None:
        return failure.message
    text = run.folder.screen.read_text(encoding="utf-8", errors="replace").strip()
    # What mpich's mpirun says of a rank that was killed, in a frame of good advice.
    ended = re.search(r"EXIT CODE: (\d+)", text)
    if ended is not None:
        return f"one of its ranks ended with code {ended.group(1)} (9: killed, 15: terminated)"
    return text.splitlines()[-1][:300] if text else "it said nothing"


def _summary(run: LammpsRun, status: Status, message: str, seconds: float) -> RunSummary:
    config = run.config
    freedom = atomic_degrees_of_freedom(
        run.molecular.masses, momentum_groups(run.molecular, config)
    )
    ranks = f"{config.ranks} rank" + ("s" if config.ranks > 1 else "")
    device = "cuda" if config.device == "cuda" else "cpu"
    return RunSummary(
        status=status,
        message=message,
        steps=config.steps,
        steps_done=run.step,
        first_nonfinite_step=run.step if status == "unstable" else None,
        seconds=seconds,
        ns_per_day=_ns_per_day(run, run.step, seconds),
        platform="LAMMPS",
        precision="double",
        force_route=f"pair_style fisher_mlip: {ranks}, {run.threads} threads each, {device}",
        dtype=str(config.dtype),
        degrees_of_freedom=float(freedom.sum()),
        paths=_paths(run),
        versions=package_versions(("lammps", "mpich")),
    )


def _paths(run: LammpsRun) -> dict[str, Any]:
    """Return the names of the files that are there, by role."""
    folder = run.folder
    roles = {role: getattr(folder, role).name for role in _ROLES if getattr(folder, role).exists()}
    parts = range(1, run.part + 1)
    files = {
        "script": [folder.script(part) for part in parts],
        "log": [folder.log(part) for part in parts],
        "restart": list(folder.restarts().values()),
        "trajectory": [folder.segment(part) for part in parts],
    }
    return roles | {
        role: [path.name for path in paths if path.exists()] for role, paths in files.items()
    }


def _ns_per_day(run: LammpsRun, step: int, seconds: float) -> float:
    nanoseconds = (step - run.first_step) * run.config.timestep * NS_PER_FS
    return nanoseconds * SECONDS_PER_DAY / max(seconds, 1e-9)
