"""A LAMMPS log -> its blocks of thermo rows, read as far as they are whole."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fisher_mlip.analysis.lammps_commands import Settings
from fisher_mlip.analysis.run import Ledger, finite_ledger
from fisher_mlip.data.frames import BoolArray, FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.lammps.outcome import Failure
from fisher_mlip.units import FS_PER_PS

_NEEDED = ("Step", "Temp", "PotEng", "KinEng", "TotEng")
_ROWS_AT_ONCE = 4096
_ELEMENT_PREFIX = "c_T_"
# What comes before a header, in new and in old versions.
_BEFORE_HEADER = ("Per MPI rank memory", "Memory usage per processor")
_LOOP = re.compile(r"Loop time of .* with (\d+) atoms")
_CREATED = re.compile(r"(?:Created|\s*)\s*(\d+) atoms")
_NUMBER = re.compile(r"[+-]?(\d|nan|inf)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Block:
    """The rows of one `run` or `minimize`, in the log's units.

    Attributes:
        columns: names, as in the header; none where a thermo style writes several lines a row.
        values: (n_rows, n_columns).
        settings: when it began.
        is_ended: whether LAMMPS came to the end of it.
    """

    columns: tuple[str, ...]
    values: FloatArray
    settings: Settings
    is_ended: bool

    @property
    def steps(self) -> FloatArray:
        """(n_rows,)."""
        return self.values[:, self.columns.index("Step")]


@dataclass(frozen=True, eq=False)
class LammpsLog:
    """A log.

    Attributes:
        path: the file.
        version: of LAMMPS, in its words; "" if the log does not tell.
        blocks: those that have rows.
        n_atoms: in the end; None if the log does not tell.
        is_torn: the last line was cut off while it was written, and is left out.
    """

    path: Path
    version: str
    blocks: tuple[Block, ...]
    n_atoms: int | None
    is_torn: bool


@dataclass(eq=False)
class _Reader:
    """State while lines are read."""

    path: Path
    settings: Settings = field(default_factory=Settings)
    version: str = ""
    n_atoms: int | None = None
    is_torn: bool = False
    blocks: list[Block] = field(default_factory=list)
    columns: tuple[str, ...] | None = None
    rows: list[str] = field(default_factory=list)
    parts: list[FloatArray] = field(default_factory=list)

    def close(self, *, is_ended: bool) -> None:
        """Make a block of the rows that were read since the header."""
        if self.columns is not None and (self.rows or self.parts or not self.columns):
            self._make_numbers()
            values = np.concatenate([np.zeros((0, len(self.columns))), *self.parts])
            columns, values = _with_energies(self.columns, values)
            self.blocks.append(Block(columns, values, self.settings, is_ended))
            if self.settings.is_run:
                self.settings = replace(self.settings, velocity_temperature=None)
        self.columns, self.rows, self.parts = None, [], []

    def _make_numbers(self) -> None:
        """Turn the lines that were read into numbers, which take less room."""
        if self.rows:
            self.parts.append(_numbers(self.rows, self.path))
            self.rows = []

    def read(self, line: str, before: str) -> None:
        """Take one line; `before` is that before it."""
        words = line.split("#", maxsplit=1)[0].split()
        if words[:1] == ["Step"] or before.startswith(_BEFORE_HEADER):
            self.close(is_ended=False)
            self.columns = () if line.startswith("---") else tuple(words)
        elif self.columns is not None:
            self._read_in_block(line, words)
        elif line.startswith("LAMMPS ("):
            self.version = line.strip()
        # What a print says comes after its echo, and is no command.
        elif words and not before.lstrip().startswith("print "):
            self._count_atoms(line)
            self.settings = self.settings.after(words)

    def _read_in_block(self, line: str, words: Sequence[str]) -> None:
        loop = _LOOP.match(line)
        if loop is not None:
            self.n_atoms = int(loop.group(1))
            self.close(is_ended=True)
        elif words and len(words) == len(self.columns or ()) and _NUMBER.match(words[0]):
            self.rows.append(line)
            if len(self.rows) == _ROWS_AT_ONCE:
                self._make_numbers()

    def _count_atoms(self, line: str) -> None:
        count = _CREATED.fullmatch(line.rstrip())
        if count is not None:
            more = (self.n_atoms or 0) if line.startswith("Created") else 0
            self.n_atoms = more + int(count.group(1))


def read_log(path: Path) -> LammpsLog:
    """Read a log; a last line without its end is left out.

    Args:
        path: as LAMMPS writes it, of one or more runs, whole or not.

    Raises:
        InputError: the file cannot be read.
    """
    reader = _Reader(path)
    try:
        with path.open(encoding="utf-8", errors="replace") as handle:
            before = ""
            for line in _whole_lines(handle, reader):
                reader.read(line, before)
                before = line
    except OSError:
        raise InputError(f"expected a LAMMPS log '{path}', found none that can be read") from None
    reader.close(is_ended=False)
    return LammpsLog(path, reader.version, tuple(reader.blocks), reader.n_atoms, reader.is_torn)


def _whole_lines(lines: Iterable[str], reader: _Reader) -> Iterator[str]:
    """Yield lines; those that end in & together with the next, as LAMMPS reads them."""
    begun = ""
    for line in lines:
        if not line.endswith("\n"):
            reader.is_torn = True
            return
        joined = begun + line
        if joined.rstrip().endswith("&"):
            begun = joined.rstrip().removesuffix("&")
            continue
        begun = ""
        yield joined


def _numbers(rows: Sequence[str], path: Path) -> FloatArray:
    try:
        return np.loadtxt(rows, ndmin=2, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"expected rows of numbers in '{path}', found: {error}") from None


def _with_energies(
    columns: tuple[str, ...], values: FloatArray
) -> tuple[tuple[str, ...], FloatArray]:
    """Add what LAMMPS's default style does not print: PotEng is E_pair + E_mol."""
    if "PotEng" in columns or not {"E_pair", "E_mol", "TotEng"} <= set(columns):
        return columns, values
    place = columns.index
    potential = values[:, place("E_pair")] + values[:, place("E_mol")]
    kinetic = values[:, place("TotEng")] - potential
    return (*columns, "PotEng", "KinEng"), np.column_stack([values, potential, kinetic])


def blow_up_of(failure: Failure | None) -> str:
    """Return the message that LAMMPS ended an unstable run with; "" of any other end."""
    if failure is None:
        return ""
    return failure.message if failure.is_unstable else ""


def check_columns(blocks: Sequence[Block], path: Path) -> None:
    """Refuse blocks without the energies.

    Raises:
        InputError: a column is missing.
    """
    for block in blocks:
        if not set(_NEEDED) <= set(block.columns):
            found = ", ".join(block.columns[:12]) or "a style of several lines a row"
            raise InputError(
                f"expected the thermo columns {', '.join(_NEEDED)} in '{path}', found {found}: add "
                "'thermo_style custom step time temp pe ke etotal press vol density' to the "
                "input"
            )


def joined(blocks: Sequence[Block], bounds: Sequence[tuple[float, float]]) -> Block:
    """Return the rows of blocks as one, a step once: where two have it, that of the earlier.

    Args:
        blocks: at least one; the columns that all have are kept.
        bounds: of each block, the first and the last step that count.
    """
    common = tuple(
        name for name in blocks[0].columns if all(name in block.columns for block in blocks)
    )
    parts, last = [np.zeros((0, len(common)))], -np.inf
    for block, (low, high) in zip(blocks, bounds, strict=True):
        steps = block.steps
        kept: BoolArray = (steps >= low) & (steps <= high) & (steps > last)
        parts.append(block.values[kept][:, [block.columns.index(name) for name in common]])
        last = max(last, steps[kept].max(initial=-np.inf))
    end = blocks[-1]
    return Block(common, np.concatenate(parts), end.settings, end.is_ended)


def ledger_of(
    block: Block,
    *,
    timestep_fs: float,
    origin_step: int,
    symbols: Iterable[str],
    n_atoms: int,
    is_periodic: bool,
    blown_up_ps: float | None,
) -> Ledger:
    """Return the rows of a block in our units.

    Args:
        block: with the columns that are needed.
        timestep_fs: fs.
        origin_step: that times count from.
        symbols: elements whose temperatures are looked for (`c_T_H`).
        n_atoms: in the system.
        is_periodic: whether a density means something.
        blown_up_ps: time at which the run ended itself because of an energy, or None.
    """
    series = dict(zip(block.columns, block.values.T, strict=True))
    scale = (n_atoms if block.settings.is_per_atom else 1) / block.settings.ev
    names = {"potential": "PotEng", "kinetic": "KinEng", "total": "TotEng"}
    energies = {ours: scale * series[theirs] for ours, theirs in names.items()}
    elements = {
        symbol: series[f"{_ELEMENT_PREFIX}{symbol}"]
        for symbol in sorted(set(symbols))
        if f"{_ELEMENT_PREFIX}{symbol}" in series
    }
    return finite_ledger(
        (series["Step"] - origin_step) * timestep_fs / FS_PER_PS,
        energies | {"temperature": series["Temp"]},
        elements,
        series.get("Density") if is_periodic else None,
        blown_up_ps,
    )
