"""An artefact as openmm-ml's potential."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openmm import Force, System
from openmm.app import Topology
from openmmml.mlpotential import MLPotentialImpl

DEFAULT_SKIN = 0.5


class FisherPotential(MLPotentialImpl):  # type: ignore[misc]
    """An artefact as openmm-ml's potential, for whole Systems and for mixed ones.

    Args:
        path: `model.pt` or its folder.
    """

    def __init__(self, path: Path) -> None:
        from fisher_mlip.export import load_artefact

        self._artefact = load_artefact(path)

    def addForces(  # noqa: N802 openmm-ml's name
        self,
        topology: Topology,
        system: System,
        atoms: Iterable[int] | None,
        forceGroup: int,
        *,
        skin: float = DEFAULT_SKIN,
        **_: Any,
    ) -> None:
        """Add the potential of all atoms, or of some, to a System.

        Args:
            topology: elements, and box vectors where periodic.
            system: gets the force; its energy is E - sum(E0).
            atoms: indices of the atoms that it acts on and between; None for all.
            forceGroup: of the force.
            skin: Å added to the cutoff of the neighbor list.

        Raises:
            InputError: an atom without element, or an element that the potential does not know.
        """
        force = self._force(topology, None if atoms is None else list(atoms), skin)
        force.setForceGroup(forceGroup)
        system.addForce(force)

    def getMLLongRange(self) -> bool:  # noqa: N802 openmm-ml's name
        """Tell openmm-ml that nothing beyond the cutoff is seen."""
        return False

    def _force(self, topology: Topology, atoms: list[int] | None, skin: float) -> Force:
        from openmm_plugin import make_force
        from openmm_plugin.subset import subset_force

        if atoms is None:
            return make_force(self._artefact, topology, skin=skin).force
        # openmm-ml copies this force to interpolate, which ends the process with a TorchForce.
        return subset_force(self._artefact, topology, atoms, skin=skin)
