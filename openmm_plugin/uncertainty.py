"""The model's own uncertainty of the forces, from the heads that it carries, while a run goes."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from openmm import State, unit
from openmm.app import Simulation

from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.export.potential import choose_kernel
from openmm_plugin.kinetics import FloatArray, IntArray
from openmm_plugin.rows import RowReporter


def force_uncertainty(module: Any, positions: FloatArray, box: FloatArray | None) -> FloatArray:
    """Return the standard deviation of each atom's force vector over the sampled heads.

    It costs one evaluation and a backward pass for each head.

    Args:
        module: the potential, bound to the atoms by the artefact, with sampled heads.
        positions: (n_atoms, 3), nm.
        box: (3, 3), nm, rows are vectors; None where not periodic.

    Returns:
        (n_atoms,), kJ/mol/nm; NaN where positions are not finite.
    """
    x = torch.tensor(np.asarray(positions), dtype=torch.float64, requires_grad=True)
    if not bool(torch.isfinite(x).all()):
        return np.full(len(positions), np.nan)
    cell = None if box is None else torch.tensor(np.asarray(box), dtype=torch.float64)
    totals = module.sampled_deviations(x, cell).sum(dim=0)
    square = torch.zeros(len(x), dtype=torch.float64)
    for total in totals.unbind():
        (gradient,) = torch.autograd.grad(total, x, retain_graph=True)
        square += gradient.square().sum(dim=1)
    return np.asarray((square / len(totals)).sqrt().numpy())


class UncertaintyReporter(RowReporter):
    """Writes the largest and the median force uncertainty over atoms, in a file of its own.

    A row costs some 12 to 32 steps, so its interval is longer than the ledger's: a column of the
    ledger would be empty in most rows.

    Args:
        file: path of the CSV file.
        interval: steps between rows.
        artefact: the potential.
        atomic_numbers: (n_atoms,).
        periodic: whether the box is periodic.
        molecules: (n_atoms,), index of each atom's molecule where molecules are independent.
        append: go on with a file that has its header and its row of the current step.

    Attributes:
        last: step and largest uncertainty, kJ/mol/nm, of the last row; None before the first.

    Raises:
        InputError: the potential carries no sampled heads.
    """

    def __init__(
        self,
        file: str | Path,
        interval: int,
        artefact: Artefact,
        atomic_numbers: IntArray,
        *,
        periodic: bool,
        molecules: IntArray | None = None,
        append: bool = False,
    ) -> None:
        if artefact.manifest.sampled_heads == 0:
            raise InputError(
                f"'{artefact.path}' carries no sampled heads: expected one of a finetuned model"
            )
        super().__init__(file, interval, append=append)
        kernel, _ = choose_kernel(artefact, "auto")
        self._module = artefact.bind(
            atomic_numbers, periodic=periodic, molecules=molecules, kernel=kernel
        )
        self._periodic = periodic
        self.last: tuple[int, float] | None = None

    def needs(self, step: int) -> list[str]:
        """Return what a row is made of."""
        return ["positions"]

    def header(self, simulation: Simulation) -> list[str]:
        """Return the column names after step and time."""
        return ["Uncertainty (kJ/mole/nm)", "Median Uncertainty (kJ/mole/nm)"]

    def values(self, simulation: Simulation, state: State) -> list[float]:
        """Return the largest and the median uncertainty, kJ/mol/nm."""
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        box = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer)
        found = force_uncertainty(self._module, positions, box if self._periodic else None)
        self.last = (simulation.currentStep, float(found.max()))
        return [float(found.max()), float(np.median(found))]
