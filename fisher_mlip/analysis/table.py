"""CSV written by a running simulation: read as far as it is whole, in float64."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of a ledger.

    Attributes:
        path: the file.
        columns: names, as in the header.
        values: (n_rows, n_columns).
        is_torn: the last line was cut off while it was written, and is left out.
    """

    path: Path
    columns: tuple[str, ...]
    values: FloatArray
    is_torn: bool

    def column(self, name: str) -> FloatArray:
        """Return one column, (n_rows,).

        Raises:
            InputError: there is no such column.
        """
        if name not in self.columns:
            found = ", ".join(self.columns[:12])
            raise InputError(f"expected a column '{name}' in '{self.path}', found {found}")
        return self.values[:, self.columns.index(name)]


def read_table(path: Path) -> Table:
    """Read a CSV with one header line; blank lines and a last one without its end are left out.

    Args:
        path: as written by OpenMM's StateDataReporter (`#"Step","Time (ps)",...`).

    Raises:
        InputError: the file is missing, has no header, or holds a line that does not fit it.
    """
    try:
        handle = path.open(encoding="utf-8", errors="replace", newline="")
    except OSError:
        raise InputError(f"expected a file '{path}', found none that can be read") from None
    with handle:
        columns = _header(handle, path)
        torn: list[str] = []
        values = _numbers(_whole_lines(handle, torn), len(columns), path)
    _refuse_disorder(values, columns, path)
    return Table(path, columns, values, bool(torn))


def _header(handle: TextIO, path: Path) -> tuple[str, ...]:
    line = handle.readline()
    if not line.startswith("#") or not line.endswith("\n"):
        raise InputError(f"""expected a header '#"Step",...' in '{path}', found {line[:40]!r}""")
    return tuple(name.strip().strip('"') for name in line[1:].strip().split(","))


def _whole_lines(handle: TextIO, torn: list[str]) -> Iterator[str]:
    for line in handle:
        if not line.endswith("\n"):
            torn.append(line)
            return
        if line.strip():
            # StateDataReporter writes "--" for a speed it cannot tell yet.
            yield line.replace("--", "nan")


def _numbers(lines: Iterator[str], n_columns: int, path: Path) -> FloatArray:
    parts = [np.zeros((0, n_columns))]
    while block := list(islice(lines, _ROWS_AT_ONCE)):
        try:
            part = np.loadtxt(block, delimiter=",", ndmin=2, dtype=np.float64)
        except ValueError as error:
            raise InputError(f"expected rows of numbers in '{path}', found: {error}") from None
        if part.shape[1] != n_columns:
            raise InputError(f"expected {n_columns} columns in '{path}', found {part.shape[1]}")
        parts.append(part)
    return np.concatenate(parts)


def _refuse_disorder(values: FloatArray, columns: tuple[str, ...], path: Path) -> None:
    if columns[0] != "Step":
        raise InputError(f"expected 'Step' as the first column of '{path}', found '{columns[0]}'")
    steps = values[:, 0]
    wrong = np.flatnonzero(~(np.diff(steps) > 0))
    if len(wrong):
        before, after = steps[wrong[0]], steps[wrong[0] + 1]
        raise InputError(f"expected rising steps in '{path}', found {after:g} after {before:g}")
