"""What LAMMPS's log and screen say of a run: how far it is, and why it ended."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from fisher_mlip.errors import InputError

# What a run that blows up ends with, in the words of the pair style and of LAMMPS.
_UNSTABLE = (
    *("is not finite", "Lost atoms", "Non-numeric", "out of range atoms", "Out of range atoms"),
    *("Too many neighbor bins", "flying off", "not numeric", "fix-id explosion"),
)
# The atoms of a bond that are further apart than ranks see.
_TORN_BOND = re.compile(r"Bond atoms \d+ \d+ missing")
_TAIL_BYTES = 20_000
_ROW = re.compile(r"^ *(\d+)(?: +[-+.\deE]+| +-?nan| +-?inf)+ *$", re.MULTILINE)


@dataclass(frozen=True)
class Failure:
    """Why LAMMPS ended itself.

    Attributes:
        message: its sentence.
        is_unstable: whether the run blew up, rather than was set up wrong.
    """

    message: str
    is_unstable: bool


def tail_of(path: Path) -> str:
    """Return the end of a file, where LAMMPS says how it ended; "" where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as handle:
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - _TAIL_BYTES))
        return handle.read().decode(errors="replace")


def last_step(log: Path) -> int | None:
    """Return the step of the last row of a log, None before the first."""
    rows = _ROW.findall(tail_of(log).rpartition("\n")[0] + "\n")
    return int(rows[-1]) if rows else None


def find_failure(log: Path, screen: Path) -> Failure | None:
    """Return the error that LAMMPS ended with, None where it names none."""
    for text in (tail_of(log), tail_of(screen)):
        found = re.search(r"^ERROR(?: on proc \d+)?: (.*)$", text, re.MULTILINE)
        if found:
            message = re.sub(r" \(\S+\.(?:cpp|h):\d+\)$", "", found.group(1).strip())
            is_unstable = any(words in message for words in _UNSTABLE)
            return Failure(message, is_unstable or bool(_TORN_BOND.search(message)))
    return None


def has_finished(log: Path) -> bool:
    """Whether LAMMPS came to the end of its input."""
    return "Total wall time" in tail_of(log)


def refusal(failure: Failure | None, screen: Path) -> InputError:
    """Return what a run that LAMMPS would not begin is refused with."""
    if failure is not None:
        return InputError(f"LAMMPS refused the run: {failure.message}")
    text = screen.read_text(encoding="utf-8", errors="replace") if screen.is_file() else ""
    lines = text.strip().splitlines() or ["it said nothing"]
    return InputError(f"LAMMPS ended before the run: {lines[-1][:300]}")
