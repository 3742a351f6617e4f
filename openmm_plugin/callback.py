"""What PythonForce calls: a State -> energy and forces of a potential in Python."""

import threading
from typing import Any

import numpy as np
import torch
from openmm import State, unit
from torch import Tensor

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.export import ArtefactPotential
from fisher_mlip.units import (
    KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM,
    KJ_PER_MOL_PER_EV,
    NM_PER_ANGSTROM,
)

HEAD_SCALE = "fisher_head_scale"


class PotentialCallback:
    """A potential as PythonForce wants it: nm in, kJ/mol and kJ/mol/nm out.

    OpenMM would put it into a System's XML by pickling it, and run what it reads there: that is
    refused, and OpenMM then says that the function cannot be serialized.

    Args:
        potential: of the force's particles.
    """

    def __init__(self, potential: ArtefactPotential) -> None:
        self.potential = potential
        # Contexts of one System share it, and torch lets other threads in while it computes.
        self._alone = threading.Lock()

    def __call__(self, state: State) -> tuple[float, FloatArray]:
        """Return energy (kJ/mol) and forces (n_particles, 3) (kJ/mol/nm) of a State.

        Raises:
            RuntimeError: the potential failed; OpenMM passes on nothing but the words.
        """
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        return self._evaluate(state, np.asarray(positions, dtype=np.float64))

    def of_tensors(self, state: State, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return energy and forces as tensors where `positions` are, for PythonTorchForce.

        Args:
            state: for the box and the parameters.
            positions: (n_particles, 3), nm.
        """
        found = self._evaluate(state, positions.detach().double().cpu().numpy())
        energy = torch.tensor(found[0], dtype=torch.float64, device=positions.device)
        return energy, torch.from_numpy(found[1]).to(positions.device, positions.dtype)

    def __reduce__(self) -> Any:
        raise TypeError("a potential's force is not serialized: make it again from its artefact")

    def _evaluate(self, state: State, positions: FloatArray) -> tuple[float, FloatArray]:
        with self._alone:
            return self._evaluate_alone(state, positions)

    def _evaluate_alone(self, state: State, positions: FloatArray) -> tuple[float, FloatArray]:
        potential = self.potential
        potential.head_scale = float(state.getParameters()[HEAD_SCALE])
        try:
            cell = _cell(state) if potential.periodic else None
            energy, forces = potential.energy_and_forces(positions / NM_PER_ANGSTROM, cell)
        except Exception as failure:
            kind = type(failure).__name__
            raise RuntimeError(f"the potential failed with {kind}: {failure}") from failure
        return energy * KJ_PER_MOL_PER_EV, forces * KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM


def _cell(state: State) -> FloatArray:
    vectors: Any = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer)
    return np.asarray(vectors, dtype=np.float64) / NM_PER_ANGSTROM
