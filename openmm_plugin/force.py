"""An exported potential as openmm-torch's TorchForce."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from openmm.app import Topology

from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, load_artefact
from fisher_mlip.export.torchscript import without_deprecation
from openmm_plugin.bonds import molecule_index
from openmm_plugin.loading import load_openmmtorch


def torch_force(
    model: str | Path | Artefact,
    topology: Topology,
    *,
    periodic: bool | None = None,
    skin: float = 0.5,
    independent_molecules: bool = False,
) -> Any:
    """Return the potential as a force for all atoms of the topology.

    Args:
        model: `model.pt`, the folder that holds it, or the loaded artefact.
        topology: whose elements the potential must know.
        periodic: whether the box is periodic; None: as the topology has box vectors or not.
        skin: Å added to the cutoff of the neighbor list, so that it can be kept between steps.
        independent_molecules: atoms of different molecules (by the topology's bonds) do not
            interact: many runs of one molecule at the price of one call.

    Returns:
        `openmmtorch.TorchForce`; its energy is E - sum(E0).

    Raises:
        InputError: no such artefact, an atom without element, an element that the potential does
            not know, or independent molecules without bonds.
    """
    openmmtorch = load_openmmtorch()
    artefact = model if isinstance(model, Artefact) else load_artefact(Path(model))
    atomic_numbers = topology_atomic_numbers(topology)
    if periodic is None:
        periodic = topology.getPeriodicBoxVectors() is not None
    molecules = _bonded_molecules(topology) if independent_molecules else None
    module = artefact.bind(atomic_numbers, periodic=periodic, skin=skin, molecules=molecules)
    # The constructor copies the module by a function that torch 2.12 calls deprecated; made an
    # error, that warning would abort the process inside C++.
    with without_deprecation():
        force = openmmtorch.TorchForce(module)
    force.setUsesPeriodicBoundaryConditions(periodic)
    return force


def topology_atomic_numbers(topology: Topology) -> npt.NDArray[np.int64]:
    """Return the atomic numbers of the topology's atoms, (n_atoms,).

    Raises:
        InputError: the topology has no atoms, or an atom has no element.
    """
    atoms = list(topology.atoms())
    if not atoms:
        raise InputError("expected a topology with atoms, found none")
    for atom in atoms:
        if atom.element is None:
            raise InputError(
                f"expected an element for every atom of the topology, found none for atom "
                f"{atom.index} ('{atom.name}' of residue '{atom.residue.name}')"
            )
    return np.array([atom.element.atomic_number for atom in atoms], dtype=np.int64)


def _bonded_molecules(topology: Topology) -> npt.NDArray[np.int64]:
    if topology.getNumBonds() == 0 and topology.getNumAtoms() > 1:
        raise InputError(
            "expected a topology with bonds, which say what an independent molecule is, found none"
        )
    return molecule_index(topology)
