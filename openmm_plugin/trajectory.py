"""The trajectory by mdtraj's reporter, with positions as they are integrated."""

import errno
import warnings
from pathlib import Path

import numpy as np
from mdtraj.reporters import DCDReporter
from mdtraj.utils.validation import TypeCastPerformanceWarning
from openmm import State, unit
from openmm.app import Simulation

from fisher_mlip.errors import UnstableRunError


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
            UnstableRunError: a position is not finite.
            OSError: the disk is full or failed; mdtraj raises a TypeError while it looks up the
                words for that.
        """
        if not np.isfinite(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)).all():
            raise UnstableRunError(f"a position at step {simulation.currentStep} is not finite")
        try:
            with warnings.catch_warnings():
                # DCD holds float32; OpenMM has float64, and mdtraj says so at every frame.
                warnings.simplefilter("ignore", TypeCastPerformanceWarning)
                super().report(simulation, state)
        except (TypeError, OSError) as failure:
            reason = "cannot write the trajectory, is the disk full?"
            raise OSError(errno.EIO, reason, self._path) from failure
