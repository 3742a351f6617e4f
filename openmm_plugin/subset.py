"""An exported potential on some of a System's atoms."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from openmm import PythonForce, State, unit
from openmm.app import Topology

from fisher_mlip.export import Artefact, load_artefact
from openmm_plugin.force import topology_atomic_numbers


def subset_force(
    artefact: Artefact, topology: Topology, atoms: Sequence[int], *, skin: float = 0.5
) -> PythonForce:
    """Return the potential of some atoms, which see each other alone.

    Args:
        artefact: the potential.
        topology: whose elements of these atoms the potential must know; with box vectors the
            atoms see each other's periodic images.
        atoms: their indices.
        skin: Å added to the cutoff of the neighbor list.

    Returns:
        A force whose energy is E - sum(E0).

    Raises:
        InputError: an atom without element, or an element that the potential does not know.
    """
    is_periodic = topology.getPeriodicBoxVectors() is not None
    numbers = topology_atomic_numbers(topology)[list(atoms)]
    force = PythonForce(_Evaluator(artefact.path, tuple(numbers.tolist()), is_periodic, skin))
    force.setParticles(list(atoms))
    force.setUsesPeriodicBoundaryConditions(is_periodic)
    return force


class _Evaluator:
    """What the force calls; OpenMM copies forces by what they are made of, so it can be made again.

    Args:
        path: `model.pt`.
        numbers: atomic numbers of the atoms.
        is_periodic: whether the box counts.
        skin: Å.
    """

    def __init__(
        self, path: Path, numbers: tuple[int, ...], is_periodic: bool, skin: float
    ) -> None:
        self._given = (path, numbers, is_periodic, skin)
        self._is_periodic = is_periodic
        self._module = load_artefact(path).bind(np.array(numbers), periodic=is_periodic, skin=skin)

    def __reduce__(self) -> tuple[type["_Evaluator"], tuple[Path, tuple[int, ...], bool, float]]:
        return type(self), self._given

    def __call__(self, state: State) -> tuple[float, npt.NDArray[np.float64]]:
        """Return the energy, kJ/mol, and the forces, kJ/mol/nm, at the state's positions."""
        positions = _tensor(state.getPositions(asNumpy=True)).requires_grad_()
        box = _tensor(state.getPeriodicBoxVectors(asNumpy=True)) if self._is_periodic else None
        energy = self._module(positions, box)
        (gradient,) = torch.autograd.grad(energy, positions)
        return float(energy.detach()), -gradient.numpy()


def _tensor(values: unit.Quantity) -> torch.Tensor:
    return torch.tensor(np.asarray(values.value_in_unit(unit.nanometer)), dtype=torch.float64)
