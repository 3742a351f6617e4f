"""The slope of the total energy over the rows of a ledger, one row after the other."""

from collections.abc import Iterator
from math import isnan
from pathlib import Path

from fisher_mlip.errors import InputError

STEP, TIME, TOTAL = "Step", "Time (ps)", "Total Energy (kJ/mole)"
# Of a Nosé-Hoover run: the total energy and that of its heat bath.
CONSERVED = "Conserved Energy (kJ/mole)"


class DriftLine:
    """The least-squares line through (time, energy), without keeping the points.

    Source:
        Welford's update of means and centered sums: sum (t - <t>)(E - <E>) / sum (t - <t>)^2. It
        keeps the digits that sums of products of 1e5 kJ/mol lose. The same points in the same order
        give the same bits.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean_time = self._mean_energy = 0.0
        self._squares = self._products = 0.0

    def add(self, time: float, energy: float) -> None:
        """Take a point; one that is not known (NaN) is left out."""
        if isnan(energy):
            return
        self._count += 1
        ahead = time - self._mean_time
        self._mean_time += ahead / self._count
        self._mean_energy += (energy - self._mean_energy) / self._count
        self._squares += ahead * (time - self._mean_time)
        self._products += ahead * (energy - self._mean_energy)

    @property
    def slope(self) -> float:
        """Energy per time; NaN for fewer than two points."""
        return self._products / self._squares if self._squares > 0.0 else float("nan")

    def add_rows_of(self, ledger: Path, after_step: int = -1) -> None:
        """Take the points of the rows that are in a ledger, of the conserved energy if it has one.

        Args:
            ledger: the file.
            after_step: rows up to this step are left out.

        Raises:
            InputError: the file has no such columns, or a row that is none.
        """
        with ledger.open(encoding="utf-8") as lines:
            column = CONSERVED if f'"{CONSERVED}"' in next(lines, "") else TOTAL
        for step, time, energy in _values(ledger, (STEP, TIME, column)):
            if step > after_step:
                self.add(time, energy)


def last_value(ledger: Path, column: str) -> float:
    """Return a column's number in the last row.

    Raises:
        InputError: there is no such column or no row.
    """
    values = [value for (value,) in _values(ledger, (column,))]
    if not values:
        raise InputError(f"expected rows in '{ledger}', found none")
    return values[-1]


def _values(ledger: Path, columns: tuple[str, ...]) -> Iterator[list[float]]:
    with ledger.open(encoding="utf-8") as lines:
        names = [name.strip('"') for name in next(lines, "").strip().lstrip("#").split(",")]
        missing = [column for column in columns if column not in names]
        if missing:
            raise InputError(f"expected a column '{missing[0]}' in '{ledger}', found none")
        places = [names.index(column) for column in columns]
        for line in lines:
            values = line.split(",")
            try:
                yield [float(values[place]) for place in places]
            except (ValueError, IndexError):
                raise InputError(f"expected a row in '{ledger}', found {line[:40]!r}") from None
