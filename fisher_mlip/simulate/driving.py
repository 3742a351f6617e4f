"""Steps a run to its end, its interruption, or its blow-up."""

import errno
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from openmm import OpenMMException, unit
from openmm.app import PDBFile, Simulation

from fisher_mlip.config import SimulateConfig
from fisher_mlip.errors import UnstableRunError
from fisher_mlip.interruption import Interruption, noted_interruption
from fisher_mlip.products import folder_identity
from fisher_mlip.simulate.checkpoints import Segments, read_state, write_checkpoint
from fisher_mlip.simulate.engine import PotentialSimulation
from fisher_mlip.simulate.folder import RunFolder, write_pdb
from fisher_mlip.simulate.healing import Healer, Illness, read_healings
from fisher_mlip.simulate.integrators import begins_anew, momentum_groups, renew
from fisher_mlip.simulate.progress import show_note, shown_progress
from fisher_mlip.simulate.reporting import RunReporters
from fisher_mlip.simulate.rewinding import Healed, keep_good_state, plan_rewind, read_rewinds
from fisher_mlip.simulate.summary import RunSummary, Status
from fisher_mlip.simulate.systems import MolecularSystem
from openmm_plugin.kinetics import atomic_degrees_of_freedom
from openmm_plugin.watch import Alarm, InstabilityError, read_alarms

NS_PER_FS = 1e-6
SECONDS_PER_DAY = 86400.0
ROLES = (
    *("config", "topology", "reference", "ledger", "molecules", "uncertainty", "watch", "alarms"),
    *("healing", "state"),
)


@dataclass(frozen=True, eq=False)
class Run:
    """A simulation with its state, its reporters and its folder.

    Attributes:
        config: what to run.
        folder: where its files go.
        identity: of that folder, as `folder_identity`.
        molecular: its atoms.
        simulation: at the step to go on from.
        reporters: attached to it.
        segments: of the trajectory.
        noise_seed: of the thermostat's and the barostat's noise; another one after a rewind.
        healer: of its alarms; None where they are not healed.
    """

    config: SimulateConfig
    folder: RunFolder
    identity: tuple[int, int]
    molecular: MolecularSystem
    simulation: PotentialSimulation
    reporters: RunReporters
    segments: Segments
    noise_seed: int
    healer: Healer | None = None

    def check_folder(self) -> None:
        """Check that the folder is still there: writing would make it again, with a part of a run.

        Raises:
            FileNotFoundError: it was deleted or moved.
        """
        with suppress(FileNotFoundError):
            if folder_identity(self.folder.path) == self.identity:
                return
        message = "the run folder was deleted or moved while the run went"
        raise FileNotFoundError(errno.ENOENT, message, str(self.folder.path))

    def save(self) -> None:
        """Write a checkpoint that no row on the disk falls short of."""
        self.check_folder()
        self.reporters.sync()
        step = self.simulation.currentStep
        self.reporters.save_memory(self.folder, step)
        write_checkpoint(self.simulation, self.folder, self.segments)
        keep_good_state(self.folder, step, self.config)


def drive(run: Run) -> RunSummary | None:
    """Step a run to `config.steps`, to a wish to stop, an alarm, or a number that is not finite.

    Returns:
        The outcome; None where an alarm has planned a rewind, which a resume of the run does.

    Raises:
        OSError: the disk is full or failed, or the run folder is gone.
    """
    first_step, start = run.simulation.currentStep, time.perf_counter()
    status: Status = "finished"
    message = ""
    try:
        with noted_interruption() as interruption:
            _step_to_end(run, interruption)
        if interruption.wanted and run.simulation.currentStep < run.config.steps:
            status = "interrupted"
            message = "a signal asked the run to stop: --resume goes on from its last checkpoint"
    except InstabilityError as failure:
        run.reporters.sync()
        why_not = _why_not_rewound(run, failure.alarm)
        if why_not is None:
            return None
        status, message = "alarm", f"{failure}{why_not}"
    except UnstableRunError as failure:
        why_not = _why_not_rewound(run, _note_nonfinite(run))
        if why_not is None:
            return None
        status, message = "unstable", f"{failure}{why_not}"
        _write_unstable(run, message)
    except FileNotFoundError:
        raise
    except OSError as failure:
        advice = f"{failure.strerror}: free space, then go on with --resume"
        raise OSError(failure.errno, advice, str(run.folder.path)) from failure
    seconds = time.perf_counter() - start
    return _summarize(run, status, message, run.simulation.currentStep - first_step, seconds)


def _step_to_end(run: Run, interruption: Interruption) -> None:
    simulation, steps = run.simulation, run.config.steps
    first_step, start = simulation.currentStep, time.perf_counter()
    with shown_progress(run.folder.path.name, first_step, steps) as show:
        while simulation.currentStep < steps and not interruption.wanted:
            advance(run)
            step = simulation.currentStep
            done = step - first_step
            show(step, _ns_per_day(run.config, done, time.perf_counter() - start))
    # Where a checkpoint begins noise anew, one out of turn would change where the run goes: an
    # interrupted run keeps its last regular one.
    if simulation.currentStep >= steps or not begins_anew(run.config):
        run.save()


def advance(run: Run) -> None:
    """Make one step, and the checkpoint that falls on it.

    Raises:
        UnstableRunError: a number is not finite.
    """
    simulation = run.simulation
    _one_step(simulation)
    step = simulation.currentStep
    if step % run.config.checkpoint_interval == 0:
        run.save()
        if step < run.config.steps:
            renew(simulation, run.config, run.noise_seed)


def _one_step(simulation: Simulation) -> None:
    try:
        simulation.step(1)
    except OpenMMException as failure:
        if "nan" not in str(failure).lower():
            raise
        raise UnstableRunError(f"OpenMM at step {simulation.currentStep}: {failure}") from failure


def _note_nonfinite(run: Run) -> Alarm | None:
    """Have the alarm of a blow-up written, and return it."""
    run.check_folder()
    watch = run.reporters.watch
    return watch.note_nonfinite(run.simulation) if watch is not None else None


def _why_not_rewound(run: Run, alarm: Alarm | None) -> str | None:
    """Plan a rewind where an alarm shall have one and may, and say so.

    Returns:
        None where it is planned; else why not, as the end of a sentence.
    """
    config, step = run.config, run.simulation.currentStep
    if config.on_alarm != "rewind" or alarm is None:
        return ""
    heal = None if run.healer is None else partial(_heal, run, run.healer, alarm)
    why_not = plan_rewind(run.folder, step, alarm.criterion, config, heal)
    if why_not:
        show_note(f"not rewound from step {step}: {why_not}")
        return f"; not rewound: {why_not}"
    rewinds = read_rewinds(run.folder).rewinds
    most = "" if rewinds[-1].model else f" of at most {config.watch.rewinds}"
    show_note(
        f"rewound from step {step} to step {rewinds[-1].step} with new velocities "
        f"({len(rewinds)}{most} rewinds)"
    )
    return None


def _heal(run: Run, healer: Healer, alarm: Alarm) -> Healed:
    """Have an alarm healed, with those of the same look."""
    run.check_folder()
    others = [
        other
        for other in read_alarms(run.folder.alarms)
        if (other.step, other.rewinds) == (alarm.step, alarm.rewinds)
    ]
    return healer.heal(Illness(run.folder, run.molecular, others or [alarm]))


def _write_unstable(run: Run, message: str) -> None:
    """Write the last positions that are known to be finite."""
    run.check_folder()
    positions, step = run.reporters.ledger.last_finite, run.reporters.ledger.last_finite_step
    if positions is None:
        state = read_state(run.folder)
        positions = np.array(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        step = state.getStepCount()
    topology = PDBFile(str(run.folder.topology)).topology
    remark = f"{message}\npositions of step {step}, the last that are known to be finite"
    write_pdb(run.folder.unstable, topology, positions * 10.0, remark)


def _summarize(
    run: Run, status: Status, message: str, steps_here: int, seconds: float
) -> RunSummary:
    context, potential = run.simulation.context, run.simulation.potential
    platform = context.getPlatform()
    has_precision = "Precision" in platform.getPropertyNames()
    freedom = atomic_degrees_of_freedom(
        run.molecular.masses, momentum_groups(run.molecular, run.config)
    )
    step = run.simulation.currentStep
    return RunSummary(
        status=status,
        message=message,
        steps=run.config.steps,
        steps_done=step,
        first_nonfinite_step=step if status == "unstable" else None,
        seconds=seconds,
        ns_per_day=_ns_per_day(run.config, steps_here, seconds),
        platform=platform.getName(),
        precision=platform.getPropertyValue(context, "Precision") if has_precision else "double",
        force_route=f"{potential.name}: {potential.reason}",
        dtype=str(run.config.dtype),
        degrees_of_freedom=float(freedom.sum()),
        paths=_paths(run),
        alarms=[asdict(alarm) for alarm in read_alarms(run.folder.alarms)],
        rewinds=len(read_rewinds(run.folder).rewinds),
        healings=[healing.model_dump() for healing in read_healings(run.folder)],
    )


def _paths(run: Run) -> dict[str, Any]:
    """Return the names of the files that are there, by role."""
    folder = run.folder
    roles: dict[str, Any] = {
        role: getattr(folder, role).name for role in ROLES if getattr(folder, role).exists()
    }
    if folder.unstable.exists():
        roles["unstable"] = folder.unstable.name
    names = [segment.file for segment in run.segments]
    return roles | {"trajectory": [name for name in names if (folder.path / name).exists()]}


def _ns_per_day(config: SimulateConfig, steps: int, seconds: float) -> float:
    return steps * config.timestep * NS_PER_FS * SECONDS_PER_DAY / max(seconds, 1e-9)
