"""The inner potential of r-RESPA: the classical force field of ethanol, or another artefact."""

import copy
from pathlib import Path

import numpy as np
from openmm import CMMotionRemover, Force, System

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, BONDS
from fisher_mlip.data.opls import independent_system, reference_system
from fisher_mlip.errors import InputError
from fisher_mlip.export import load_artefact
from fisher_mlip.simulate.systems import MolecularSystem
from openmm_plugin import make_force, topology_atomic_numbers
from openmm_plugin.respa import INNER_GROUP

OPLS = "opls"
# Rougher than labels, Å and Ewald's tolerance: what is left out is part of the correction.
_CUTOFF = 8.0
_EWALD_TOLERANCE = 5e-4


def add_inner_forces(system: System, molecular: MolecularSystem, config: SimulateConfig) -> None:
    """Add the forces of the inner potential, if there is one, in their group.

    Raises:
        InputError: the force field does not know the system, or no such artefact.
    """
    if not config.inner:
        return
    forces = _opls_forces(molecular) if config.inner == OPLS else [_model_force(molecular, config)]
    for force in forces:
        force.setForceGroup(INNER_GROUP)
        system.addForce(force)


def _model_force(molecular: MolecularSystem, config: SimulateConfig) -> Force:
    return make_force(
        load_artefact(Path(config.inner)),
        molecular.topology,
        periodic=molecular.is_periodic,
        skin=config.skin,
        independent_molecules=molecular.independent_molecules,
    ).force


def _opls_forces(molecular: MolecularSystem) -> list[Force]:
    """Return copies of the force field's forces; it has no constraints."""
    molecules = _count_ethanols(molecular)
    if molecular.independent_molecules:
        classical = independent_system(molecules)
    else:
        # The cutoff follows a small box: that of the start, so that it stays in a run's resumes.
        first = molecular.cell if molecular.first_cell is None else molecular.first_cell
        classical = reference_system(
            molecules, first, cutoff=_CUTOFF, ewald_tolerance=_EWALD_TOLERANCE
        )
    forces = [force for force in classical.getForces() if not isinstance(force, CMMotionRemover)]
    return [copy.deepcopy(force) for force in forces]


def _count_ethanols(molecular: MolecularSystem) -> int:
    """Return how many ethanols a system is made of.

    Raises:
        InputError: it holds other atoms, or orders or bonds them otherwise.
    """
    numbers = topology_atomic_numbers(molecular.topology)
    size = len(ATOMIC_NUMBERS)
    molecules = len(numbers) // size
    expected = {
        (molecule * size + min(bond), molecule * size + max(bond))
        for molecule in range(molecules)
        for bond in BONDS
    }
    found = {
        (min(bond.atom1.index, bond.atom2.index), max(bond.atom1.index, bond.atom2.index))
        for bond in molecular.topology.bonds()
    }
    is_ethanol = np.array_equal(numbers, np.tile(ATOMIC_NUMBERS, molecules))
    if not is_ethanol or found != expected:
        raise InputError(
            f"expected molecules of ethanol, in the order C C O H H H H H H with their bonds, for "
            f"the inner potential '{OPLS}', found other atoms or bonds"
        )
    return molecules
