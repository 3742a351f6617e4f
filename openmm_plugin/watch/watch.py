"""Watches a simulation for instability, keeps the frames, and warns or stops."""

import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from openmm import State, XmlSerializer, unit
from openmm.app import Simulation

from fisher_mlip.products import write_text
from openmm_plugin.kinetics import IntArray
from openmm_plugin.rows import RowReporter
from openmm_plugin.thermometer import Thermometer
from openmm_plugin.watch.alarms import (
    NAME,
    Action,
    Alarm,
    InstabilityError,
    append_alarm,
    state_name,
)
from openmm_plugin.watch.bounds import FiniteNumbers
from openmm_plugin.watch.criterion import Criterion
from openmm_plugin.watch.frames import write_frames
from openmm_plugin.watch.look import Look, look_at
from openmm_plugin.watch.standard import standard_criteria

FILE = "watch.csv"


def print_note(text: str) -> None:
    """Print a note on standard error."""
    print(f"note: {text}", file=sys.stderr)


class InstabilityWatch(RowReporter):
    """Measures criteria every so many steps and acts when one passes its bound.

    Writes `watch.csv` (a column for each criterion; NaN where a look says nothing). At the first
    alarm of a criterion it writes the frames before it and its own as `alarm-<step>.xyz`, the state
    as `alarm-<step>.xml`, a row of `alarms.csv`, and then goes on (`warn`) or raises. Each
    criterion raises one alarm; how it goes on is to be seen in `watch.csv`.

    Looks need positions and velocities, which cost nothing to speak of. Forces and energies cost an
    evaluation each time: they are looked at every `force_interval` steps only, which is best the
    interval of a ledger that asks for them anyway.

    Args:
        folder: where the files go; made if it is not there.
        interval: steps between looks.
        criteria: what is measured; None: `standard_criteria` of the simulation's topology.
        action: `warn`, `stop`, or `rewind` or `heal` (stop too; who drives the simulation does it).
        frames: how many looks are kept and written, that of the alarm included.
        force_interval: steps between looks at forces and energies.
        append: go on with a `watch.csv` that has its header and its row of the current step.
        momentum_groups: as for `LedgerReporter`.
        rewinds: how often the run has been rewound already.
        memory: what `memory()` returned at the current step, where looks have gone before.
        notify: gets one sentence an alarm; None: standard error.

    Raises:
        InstabilityError: from `simulation.step`, after all other reporters that were attached
            before have written theirs.
    """

    def __init__(
        self,
        folder: str | Path,
        interval: int = 10,
        criteria: Sequence[Criterion] | None = None,
        *,
        action: Action = "warn",
        frames: int = 5,
        force_interval: int = 100,
        append: bool = False,
        momentum_groups: IntArray | None = None,
        rewinds: int = 0,
        memory: Mapping[str, Any] | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        super().__init__(self._folder / FILE, interval, append=append)
        self._criteria = None if criteria is None else list(criteria)
        self._action: Action = action
        self._force_interval = force_interval
        self._looks: deque[Look] = deque(maxlen=frames)
        self._momentum_groups = momentum_groups
        self._rewinds = rewinds
        self._notify = notify if notify is not None else print_note
        self._thermometer: Thermometer | None = None
        self._finite = FiniteNumbers()
        self._raised: set[str] = set()
        self._pending: list[Alarm] = []
        self._memory = memory or {"raised": [], "criteria": {}}
        self._recall(self._memory)

    def header(self, simulation: Simulation) -> list[str]:
        """Return the column names after step and time."""
        return [criterion.column for criterion in self._criteria_of(simulation)]

    def needs(self, step: int) -> list[str]:
        """Return what the look of a step is made of."""
        forces = ["forces", "energy"] if self._is_with_forces(step) else []
        return ["positions", "velocities", *forces]

    def values(self, simulation: Simulation, state: State) -> list[float]:
        """Return the criteria's numbers, and note which have passed their bounds."""
        if self._thermometer is None:
            self._thermometer = Thermometer(simulation, self._momentum_groups)
        with_forces = self._is_with_forces(simulation.currentStep)
        look = look_at(simulation, state, self._thermometer, with_forces=with_forces)
        self._looks.append(look)
        criteria = self._criteria_of(simulation)
        unknown = self._finite.measure(look)
        if unknown:
            self._note(look, self._finite, unknown)
            return [float("nan")] * len(criteria)
        with np.errstate(all="ignore"):
            found = [criterion.measure(look) for criterion in criteria]
        for criterion, value in zip(criteria, found, strict=True):
            if criterion.is_beyond(value):
                self._note(look, criterion, value)
        return found

    def report(self, simulation: Simulation, state: State) -> None:
        """Write the row of the current step, then act on what was found.

        Raises:
            InstabilityError: a bound was passed and the action is not to warn.
        """
        super().report(simulation, state)
        alarms, self._pending = self._pending, []
        if not alarms:
            return
        self._write_frames(simulation, alarms)
        for alarm in alarms:
            append_alarm(self._folder / NAME, alarm)
            self._notify(alarm.sentence)
        if self._action != "warn":
            raise InstabilityError(alarms[0])

    def note_nonfinite(self, simulation: Simulation) -> Alarm:
        """Write the alarm of a run that ended itself because a number was not finite.

        The frames are those of the looks before.
        """
        step, finite = simulation.currentStep, self._finite
        time = simulation.context.getTime().value_in_unit(unit.picosecond)
        frames = self._frames_name(step) if self._looks else ""
        alarm = Alarm(
            *(step, time, finite.name, 1.0, finite.threshold, finite.unit, "", self._action),
            *(frames, self._rewinds),
        )
        if finite.name in self._raised:
            return alarm
        if self._looks:
            path = self._folder / frames
            write_frames(path, simulation.topology, tuple(self._looks), alarm.sentence)
        append_alarm(self._folder / NAME, alarm)
        return alarm

    def memory(self) -> dict[str, Any]:
        """Return what later looks depend on, for JSON; the kept frames are not in it."""
        criteria = self._criteria or []
        return {
            "raised": sorted(self._raised),
            "criteria": {criterion.name: criterion.memory() for criterion in criteria},
        }

    def _recall(self, memory: Mapping[str, Any]) -> None:
        self._raised = set(memory["raised"])
        for criterion in self._criteria or []:
            if criterion.name in memory["criteria"]:
                criterion.recall(memory["criteria"][criterion.name])

    def _criteria_of(self, simulation: Simulation) -> list[Criterion]:
        if self._criteria is None:
            self._criteria = standard_criteria(simulation.topology)
            self._recall(self._memory)
        return self._criteria

    def _is_with_forces(self, step: int) -> bool:
        return step % self._force_interval == 0

    def _note(self, look: Look, criterion: Criterion, value: float) -> None:
        """Keep the alarm of a criterion that has raised none yet."""
        if criterion.name in self._raised:
            return
        self._raised.add(criterion.name)
        self._pending.append(
            Alarm(
                *(look.step, look.time_ps, criterion.name, float(value), criterion.threshold),
                *(criterion.unit, criterion.where(), self._action, self._frames_name(look.step)),
                self._rewinds,
            )
        )

    def _frames_name(self, step: int) -> str:
        again = f".rewind{self._rewinds}" if self._rewinds else ""
        return f"alarm-{step}{again}.xyz"

    def _write_frames(self, simulation: Simulation, alarms: Sequence[Alarm]) -> None:
        reason = "; ".join(alarm.sentence for alarm in alarms)
        path = self._folder / alarms[0].frames
        write_frames(path, simulation.topology, tuple(self._looks), reason)
        if alarms[0].criterion == self._finite.name:
            return
        state = simulation.context.getState(positions=True, velocities=True, parameters=True)
        write_text(self._folder / state_name(path.name), XmlSerializer.serialize(state))
