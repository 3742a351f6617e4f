"""The trajectory by mdtraj's reporter, with positions as they are integrated."""

import errno
from pathlib import Path

from mdtraj.reporters import DCDReporter
from openmm import State
from openmm.app import Simulation


class UnwrappedDCDReporter(DCDReporter):  # type: ignore[misc]
    """mdtraj's DCDReporter without moving molecules into the box.

    Displacements and bonds can be read from it without undoing jumps. A system that is not
    periodic gets no cell; OpenMM's default box would be taken for one.

    Args:
        file: path of the DCD file.
        interval: steps between frames.
        periodic: whether the cell is written.
    """

    def __init__(self, file: str | Path, interval: int, *, periodic: bool) -> None:
        super().__init__(str(file), interval)
        self._cell = periodic
        self._enforcePeriodicBox = False
        self._path = str(file)

    def report(self, simulation: Simulation, state: State) -> None:
        """Write the frame of the current step.

        Raises:
            OSError: the disk is full or failed; mdtraj raises a TypeError while it looks up the
                words for that.
        """
        try:
            super().report(simulation, state)
        except (TypeError, OSError) as failure:
            raise OSError(
                errno.EIO, "cannot write the trajectory, is the disk full?", self._path
            ) from failure
