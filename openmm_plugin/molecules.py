"""Energies of molecules that do not interact: each one is a drift test of its own."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from openmm import State, unit
from openmm.app import Simulation

from fisher_mlip.errors import UnstableRunError
from openmm_plugin.kinetics import (
    FloatArray,
    IntArray,
    kinetic_energies,
    on_step_velocities,
    particle_masses,
)
from openmm_plugin.rows import RowReporter


class MoleculeEnergyReporter(RowReporter):
    """Writes each molecule's total energy: its atoms' potential and on-step kinetic energies.

    Args:
        file: path of the CSV file.
        interval: steps between rows.
        module: the potential, bound for these atoms and molecules by the artefact.
        molecules: (n_atoms,), index of each atom's molecule.
        append: go on with a file that has its header and its row of the current step.
    """

    def __init__(
        self,
        file: str | Path,
        interval: int,
        module: Any,
        molecules: IntArray,
        *,
        append: bool = False,
    ) -> None:
        super().__init__(file, interval, append=append)
        self._module = module
        self._molecules = molecules
        self._masses: FloatArray | None = None

    def header(self, simulation: Simulation) -> list[str]:
        """Return the column names after step and time."""
        return [f"Molecule {index} (kJ/mole)" for index in range(self._molecules.max() + 1)]

    def values(self, simulation: Simulation, state: State) -> list[float]:
        """Return the molecules' energies, kJ/mol.

        Raises:
            UnstableRunError: one is not finite.
        """
        if self._masses is None:
            self._masses = particle_masses(simulation.system)
        velocities = on_step_velocities(simulation.integrator, state, self._masses)
        by_atom = kinetic_energies(velocities, self._masses) + self._atomic_energies(state)
        energies = np.bincount(self._molecules, weights=by_atom)
        if not np.isfinite(energies).all():
            molecule = int(np.argmin(np.isfinite(energies)))
            raise UnstableRunError(
                f"energy of molecule {molecule} at step {simulation.currentStep} is not finite"
            )
        return [float(energy) for energy in energies]

    def _atomic_energies(self, state: State) -> FloatArray:
        """Return (n_atoms,), kJ/mol."""
        tensors = chain(self._module.parameters(), self._module.buffers())
        device = next((tensor.device for tensor in tensors), torch.device("cpu"))
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        box = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer)
        with torch.no_grad():
            energies = self._module.atomic_energies(
                torch.as_tensor(positions, dtype=torch.float64, device=device),
                torch.as_tensor(box, dtype=torch.float64, device=device),
            )
        return np.asarray(energies.double().cpu().numpy(), dtype=np.float64)
