"""Rows of numbers in a comma-separated file, one every so many steps, none of them lost."""

import os
from abc import ABC, abstractmethod
from io import FileIO
from pathlib import Path
from typing import Any

from openmm import State, unit
from openmm.app import Simulation

from fisher_mlip.errors import InputError


class RowReporter(ABC):
    """A reporter that writes one row of float64 numbers every `interval` steps.

    OpenMM asks a reporter for its next report before the first step: that is when the row of the
    starting step is written. A row is written in one unbuffered call, so that a killed process
    leaves complete rows and at most one torn line at the end.

    Args:
        file: path of the CSV file.
        interval: steps between rows.
        append: go on with a file that has its header and its row of the current step.
    """

    def __init__(self, file: str | Path, interval: int, *, append: bool = False) -> None:
        if interval < 1 or int(interval) != interval:
            raise InputError(f"expected a whole number of steps between rows, found {interval}")
        self._interval = int(interval)
        self._path = Path(file)
        self._starts = not append
        self._continues = append
        self._file = FileIO(file, "a" if append else "w")

    @abstractmethod
    def header(self, simulation: Simulation) -> list[str]:
        """Return the column names after step and time."""

    @abstractmethod
    def values(self, simulation: Simulation, state: State) -> list[float]:
        """Return the numbers of the columns after step and time.

        Raises:
            UnstableRunError: the energy is not finite.
        """

    def describeNextReport(self, simulation: Simulation) -> dict[str, Any]:  # noqa: N802 OpenMM's name
        """Tell OpenMM when the next row is due and what it needs.

        Raises:
            InputError: the file to go on with has other columns.
        """
        if self._starts:
            self._start(simulation)
        elif self._continues:
            self._check_header(simulation)
        steps = self._interval - simulation.currentStep % self._interval
        include = self.needs(simulation.currentStep + steps)
        return {"steps": steps, "periodic": False, "include": include}

    def needs(self, step: int) -> list[str]:
        """Return what the row of a step is made of; forces and energy cost an evaluation."""
        return ["positions", "velocities", "forces", "energy"]

    def report(self, simulation: Simulation, state: State) -> None:
        """Write the row of the current step."""
        time = state.getTime().value_in_unit(unit.picosecond)
        values = [time, *self.values(simulation, state)]
        self._write(",".join([str(simulation.currentStep), *(repr(float(v)) for v in values)]))

    def sync(self) -> None:
        """Have the rows on the disk, not only with the operating system."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __del__(self) -> None:
        """Close the file; OpenMM never tells a reporter that it is done."""
        if hasattr(self, "_file"):
            self.close()

    def _start(self, simulation: Simulation) -> None:
        self._starts = False
        self._write(self._header_line(simulation))
        step = simulation.currentStep
        if step % self._interval == 0:
            groups = simulation.integrator.getIntegrationForceGroups()
            wanted = dict.fromkeys(self.needs(step), True)
            self.report(simulation, simulation.context.getState(groups=groups, **wanted))

    def _check_header(self, simulation: Simulation) -> None:
        self._continues = False
        expected = self._header_line(simulation)
        with self._path.open(encoding="utf-8") as handle:
            found = handle.readline().rstrip("\n")
        if found != expected:
            raise InputError(
                f"expected the columns {expected} in '{self._path}' to go on with, found "
                f"{found or 'none'}: start the run anew"
            )

    def _header_line(self, simulation: Simulation) -> str:
        columns = ["Step", "Time (ps)", *self.header(simulation)]
        return "#" + ",".join(f'"{column}"' for column in columns)

    def _write(self, line: str) -> None:
        left = f"{line}\n".encode()
        while left:
            left = left[self._file.write(left) :]
