"""Goes back to a state before an alarm, with new velocities, as a resume does.

A rewind is first written down as pending (`rewinds.json`), then done by steps that may be done
twice: the good state becomes the run's state, what was written after it is cut, velocities are
drawn from the seed and the number of the rewind, and the checkpoint is written. A kill at any
moment leaves the pending record, with which a resume does the same to the last bit.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from fisher_mlip.config import Config, SimulateConfig
from fisher_mlip.errors import InputError
from fisher_mlip.products import read_json, whole_file, write_json
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.records import JsonRecord, PlainName

# Good states before the margin that are kept, so that a rewind that helps nothing can go further.
KEPT = 3


class Rewind(Config):
    """One rewind.

    Attributes:
        criterion: that raised the alarm.
        alarm_step: where.
        step: of the state that the run goes on from.
        model: folder in the run folder of the healed model that it goes on with; "": as before.
    """

    criterion: str
    alarm_step: int
    step: int
    model: PlainName = ""


@dataclass(frozen=True)
class Healed:
    """What a healing came to.

    Attributes:
        model: folder in the run folder of the model to go on with.
        why_not: why there is none, in words; "" where there is one.
        sound_step: a step at which the run was still sound, which it is to go back to; None where
            nothing is known of it.
    """

    model: str
    why_not: str = ""
    sound_step: int | None = None


class RewindRecord(JsonRecord):
    """The rewinds of a run.

    Attributes:
        rewinds: in their order.
        is_pending: whether the last of them is not done yet.
    """

    rewinds: list[Rewind] = Field(default_factory=list)
    is_pending: bool = False


def read_rewinds(folder: RunFolder) -> RewindRecord:
    """Return the rewinds of a run; none where nothing was written."""
    if not folder.rewinds.exists():
        return RewindRecord()
    record = RewindRecord.read(folder.rewinds)
    if record.is_pending and not record.rewinds:
        raise InputError(f"expected rewinds in '{folder.rewinds}', found one pending and none")
    return record


def last_rewind(folder: RunFolder) -> int:
    """Return the last step whose rows are older than the last rewind; -1 for none."""
    rewinds = read_rewinds(folder).rewinds
    # After a rewind to the start all rows are written anew.
    return (rewinds[-1].step or -1) if rewinds else -1


def seed_of(config: SimulateConfig, rewinds: int) -> int:
    """Return the seed of a run after some rewinds: velocities and noise must be others."""
    if rewinds == 0:
        return config.seed
    return int(np.random.SeedSequence([config.seed, rewinds, 7]).generate_state(1)[0])


def keep_good_state(folder: RunFolder, step: int, config: SimulateConfig) -> None:
    """Keep the state that was just written, and forget those that no rewind will ask for.

    It is a second name of the file: the next checkpoint replaces the first name only.
    """
    if config.on_alarm != "rewind":
        return
    folder.good_states.mkdir(exist_ok=True)
    _link(folder.state, folder.good_state(step))
    old = [kept for kept in good_steps(folder) if kept <= step - config.watch.margin]
    # A healing labels them where the frames of an alarm are torn.
    most = max(KEPT, 2 * config.heal.frames) if config.heal.calculator else KEPT
    for kept in old[:-most]:
        folder.good_state(kept).unlink()


def good_steps(folder: RunFolder) -> list[int]:
    """Return the steps of the states that are kept."""
    return sorted(
        int(path.stem) for path in folder.good_states.glob("*.xml") if path.stem.isdigit()
    )


def plan_rewind(
    folder: RunFolder,
    step: int,
    criterion: str,
    config: SimulateConfig,
    heal: Callable[[], Healed] | None = None,
) -> str:
    """Write down that the run is to be rewound; return in words why it cannot be, "" if it can.

    Args:
        folder: of the run.
        step: of the alarm.
        criterion: that raised it.
        config: how often a run may be rewound, and how far before an alarm.
        heal: makes the model to go on with, once it is known that the run can go on; None: it goes
            on with the one it has.
    """
    record = read_rewinds(folder)
    good = [kept for kept in good_steps(folder) if kept <= step - config.watch.margin]
    # A run that cannot be as old as the margin has its start only.
    good = good or [kept for kept in good_steps(folder) if kept < step][:1]
    why_not = _why_no_more(record, step, criterion, config)
    if why_not:
        return why_not
    if not good:
        return "no state is before it"
    healed = Healed("") if heal is None else heal()
    if healed.why_not:
        return healed.why_not
    if healed.sound_step is not None:
        good = [kept for kept in good if kept <= healed.sound_step] or good[:1]
    # The state of the last rewind was no good: the one before it, if there is one.
    last = record.rewinds[-1].step if record.rewinds else -1
    older = [kept for kept in good if kept < last]
    target = older[-1] if good[-1] == last and older else good[-1]
    rewind = Rewind(criterion=criterion, alarm_step=step, step=target, model=healed.model)
    _write(folder, RewindRecord(rewinds=[*record.rewinds, rewind], is_pending=True))
    return ""


def _why_no_more(record: RewindRecord, step: int, criterion: str, config: SimulateConfig) -> str:
    """Return in words why a run may not be rewound again; "" if it may.

    A healed run gets further with each model: only alarms that come no later than one like them
    did before count.
    """
    most = config.watch.rewinds
    if not config.heal.calculator:
        made = len(record.rewinds)
        return f"{made} rewinds were made, as many as may be" if made >= most else ""
    early = sum(r.criterion == criterion and r.alarm_step >= step for r in record.rewinds)
    if early < most or early == 0:
        return ""
    return f"{criterion} has raised {early} alarms at this step or later, and healing did not help"


def place_pending(folder: RunFolder) -> bool:
    """Make the good state of a pending rewind the run's state; return whether there is one."""
    record = read_rewinds(folder)
    if not record.is_pending:
        return False
    step = record.rewinds[-1].step
    good = folder.good_state(step)
    if not good.is_file():
        raise InputError(f"expected the state '{good}' to rewind to, found none")
    _link(good, folder.state)
    return True


def forget_later_states(folder: RunFolder, step: int) -> None:
    """Delete the good states after a step that a run goes on from."""
    for kept in good_steps(folder):
        if kept > step:
            folder.good_state(kept).unlink()


def close_rewind(folder: RunFolder) -> None:
    """Write down that the pending rewind is done."""
    record = read_rewinds(folder)
    _write(folder, record.model_copy(update={"is_pending": False}))


def write_memory(folder: RunFolder, step: int, memory: dict[str, Any]) -> None:
    """Write what the watch remembers at a step, before the checkpoint of that step.

    The file keeps the memories of the last two checkpoints, either of which a killed run may go on
    from, and of the good states.
    """
    memories = _memories(folder)
    others = sorted((int(key) for key in memories if int(key) != step), reverse=True)
    last = [key for key in others if key < step][:1]
    wanted = {*last, *good_steps(folder)} - {step}
    kept = {str(key): memories[str(key)] for key in others if key in wanted}
    write_json(folder.watch_memory, {"memories": {str(step): memory} | kept})


def read_memory(folder: RunFolder, step: int) -> dict[str, Any]:
    """Return what the watch remembered at a step.

    Raises:
        InputError: it was not written.
    """
    memories = _memories(folder)
    if str(step) not in memories:
        raise InputError(
            f"expected the watch's memory of step {step} in '{folder.watch_memory}', found "
            f"{', '.join(memories) or 'none'}: start the run anew"
        )
    memory = memories[str(step)]
    keys = {"raised": list, "criteria": dict}
    if not isinstance(memory, dict) or any(
        not isinstance(memory.get(key), kind) for key, kind in keys.items()
    ):
        raise InputError(
            f"expected 'raised' and 'criteria' for step {step} in '{folder.watch_memory}', found "
            "others: start the run anew"
        )
    return memory


def _memories(folder: RunFolder) -> dict[str, Any]:
    if not folder.watch_memory.exists():
        return {}
    memories = read_json(folder.watch_memory, ["memories"])["memories"]
    if not isinstance(memories, dict) or not all(key.isdigit() for key in memories):
        raise InputError(f"expected memories by step in '{folder.watch_memory}', found others")
    return memories


def _link(source: Path, target: Path) -> None:
    """Give a file another name, whole or not at all; a copy where the disk has no links."""
    with whole_file(target) as partial:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)


def _write(folder: RunFolder, record: RewindRecord) -> None:
    write_json(folder.rewinds, record.model_dump())
