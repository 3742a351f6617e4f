"""LAMMPS's own breakdown of a run's time, read from its log."""

import re
from dataclasses import dataclass
from pathlib import Path

from fisher_mlip.errors import InputError

SECTIONS = ("Pair", "Neigh", "Comm", "Output", "Modify", "Other")
_LOOP = re.compile(r"^Loop time of (\S+) on (\d+) procs for (\d+) steps with (\d+) atoms", re.M)
_ROW = r"^{name} *\|([^\n]*)$"
_PER_RANK = r"^{name}: +(\S+) ave"
_BUILDS = re.compile(r"^Neighbor list builds = (\d+)", re.M)


@dataclass(frozen=True)
class Section:
    """Seconds of a section over the ranks."""

    least: float
    mean: float
    most: float


@dataclass(frozen=True)
class Breakdown:
    """What LAMMPS says at the end of a run.

    Attributes:
        seconds: of the loop.
        ranks: MPI processes.
        steps: in the loop.
        atoms: in all.
        sections: by LAMMPS's names.
        own: mean atoms of a rank.
        ghosts: mean ghost atoms of a rank.
        builds: of the neighbor list.
    """

    seconds: float
    ranks: int
    steps: int
    atoms: int
    sections: dict[str, Section]
    own: float
    ghosts: float
    builds: int


def read_breakdown(log: Path) -> Breakdown:
    """Return the breakdown of the last run in a log.

    Raises:
        InputError: there is none.
    """
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    loops = list(_LOOP.finditer(text))
    if not loops:
        raise InputError(f"expected LAMMPS's breakdown of its time in '{log}', found none")
    seconds, ranks, steps, atoms = loops[-1].groups()
    text = text[loops[-1].start() :]
    sections = {name: _section(text, name) for name in SECTIONS}
    builds = _BUILDS.search(text)
    return Breakdown(
        seconds=float(seconds),
        ranks=int(ranks),
        steps=int(steps),
        atoms=int(atoms),
        sections=sections,
        own=_per_rank(text, "Nlocal"),
        ghosts=_per_rank(text, "Nghost"),
        builds=int(builds.group(1)) if builds else 0,
    )


def _section(text: str, name: str) -> Section:
    """Return a row: min | avg | max | %varavg | %total; that of `Other` has its mean alone."""
    found = re.search(_ROW.format(name=name), text, re.M)
    cells = [cell.strip() for cell in found.group(1).split("|")] if found else []
    numbers = [float(cell) for cell in cells[:3] if cell]
    if len(numbers) not in (1, 3):
        return Section(0.0, 0.0, 0.0)
    return Section(numbers[0], numbers[len(numbers) // 2], numbers[-1])


def _per_rank(text: str, name: str) -> float:
    found = re.search(_PER_RANK.format(name=name), text, re.M)
    return float(found.group(1)) if found else 0.0
