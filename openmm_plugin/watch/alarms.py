"""Alarms, and the file that they are written to: one row each, none of them lost or twice."""

import csv
import os
from dataclasses import asdict, dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any, Literal, Self

from fisher_mlip.errors import InputError, UnstableRunError
from fisher_mlip.products import write_text

Action = Literal["warn", "stop", "rewind", "heal"]
NAME = "alarms.csv"


@dataclass(frozen=True)
class Alarm:
    """A bound that was passed.

    Attributes:
        step, time_ps: when.
        criterion: which.
        value, threshold: of the criterion, in its unit.
        unit: of the criterion.
        where: atoms or elements, in words.
        action: what the watch was told to do.
        frames: file with the frames before and at the alarm, beside `alarms.csv`; "" for none.
        rewinds: how often the run had been rewound before.
    """

    step: int
    time_ps: float
    criterion: str
    value: float
    threshold: float
    unit: str
    where: str
    action: Action
    frames: str
    rewinds: int = 0

    @property
    def sentence(self) -> str:
        """The alarm in words."""
        unit = f" {self.unit}" if self.unit else ""
        where = f" ({self.where})" if self.where else ""
        return (
            f"{self.criterion}{where} is {self.value:.4g}{unit} at step {self.step}, the bound is "
            f"{self.threshold:.4g}{unit}"
        )

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> Self:
        """Return the alarm of a row; KeyError, TypeError or ValueError where it is none."""
        numbers: dict[str, Any] = {"step": int, "rewinds": int}
        numbers |= dict.fromkeys(("time_ps", "value", "threshold"), float)
        if row["frames"] != Path(row["frames"]).name:
            raise ValueError(f"a plain name of frames: '{row['frames']}'")
        return cls(**{f.name: numbers.get(f.name, str)(row[f.name]) for f in fields(cls)})


class InstabilityError(UnstableRunError):
    """A watch stopped the simulation.

    Attributes:
        alarm: the reason.
    """

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(alarm.sentence)
        self.alarm = alarm


def append_alarm(path: Path, alarm: Alarm) -> None:
    """Add a row, on the disk when this returns."""
    text = _row(list(asdict(alarm).values()))
    if not path.exists():
        text = _row([field.name for field in fields(Alarm)]) + text
    with path.open("ab", buffering=0) as handle:
        handle.write(text.encode())
        os.fsync(handle.fileno())


def read_alarms(path: Path) -> list[Alarm]:
    """Read the whole rows; a last one that a kill cut off is left out. No file is no alarm.

    Raises:
        InputError: a row is none.
    """
    if not path.exists():
        return []
    text = path.read_bytes().decode(errors="replace")
    whole = text[: text.rfind("\n") + 1]
    try:
        return [Alarm.of_row(row) for row in csv.DictReader(StringIO(whole))]
    except (KeyError, TypeError, ValueError) as failure:
        raise InputError(f"expected alarms in '{path}', found a row without {failure}") from None


def cut_alarms(path: Path, step: int, rewinds: int) -> None:
    """Take out what a killed run wrote after its checkpoint, with the frames of those alarms.

    Alarms from before the last rewind stay: they are why the run was rewound.

    Args:
        path: the file.
        step: of the checkpoint that the run goes on from.
        rewinds: how often the run has been rewound.
    """
    if not path.exists():
        return
    alarms = read_alarms(path)
    kept = [alarm for alarm in alarms if alarm.rewinds < rewinds or alarm.step <= step]
    for alarm in alarms:
        if alarm not in kept and alarm.frames:
            for name in (alarm.frames, state_name(alarm.frames)):
                (path.parent / name).unlink(missing_ok=True)
    rows = [[field.name for field in fields(Alarm)], *(asdict(a).values() for a in kept)]
    if kept:
        write_text(path, "".join(_row(list(row)) for row in rows))
    else:
        path.unlink()


def state_name(frames: str) -> str:
    """Return the name of the state that is written beside frames."""
    return str(Path(frames).with_suffix(".xml"))


def _row(values: list[Any]) -> str:
    line = StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()
