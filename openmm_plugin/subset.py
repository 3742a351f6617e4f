"""An exported potential on some of a System's atoms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from openmm import PythonForce
from openmm.app import Topology

from fisher_mlip.export import Artefact, ArtefactPotential
from openmm_plugin.callback import HEAD_SCALE, PotentialCallback
from openmm_plugin.force import chosen_atoms


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
        InputError: an atom of these without element, one that is not there or named twice, or an
            element that the potential does not know.
    """
    is_periodic = topology.getPeriodicBoxVectors() is not None
    numbers, _ = chosen_atoms(topology, atoms)
    callback = CopyableCallback(artefact.path, tuple(numbers.tolist()), is_periodic, skin)
    force = PythonForce(callback, {HEAD_SCALE: 1.0})
    force.setParticles(list(atoms))
    force.setUsesPeriodicBoundaryConditions(is_periodic)
    return force


class CopyableCallback(PotentialCallback):
    """A potential's callback that can be made again from what it was made of.

    openmm-ml copies a mixed System's forces, and OpenMM copies a PythonForce by pickling what it
    calls: this tells pickle the file of the potential, and nothing of it.

    Args:
        path: `model.pt`.
        numbers: atomic numbers of the atoms.
        periodic: whether the box counts.
        skin: Å.
    """

    def __init__(self, path: Path, numbers: tuple[int, ...], periodic: bool, skin: float) -> None:
        self._given = (path, numbers, periodic, skin)
        super().__init__(ArtefactPotential(path, np.array(numbers), periodic=periodic, skin=skin))

    def __reduce__(self) -> Any:
        return type(self), self._given
