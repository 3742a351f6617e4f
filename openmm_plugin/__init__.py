"""OpenMM parts: an exported potential as a force, and reporters that keep float64 ledgers."""

from openmm_plugin.bonds import molecule_bonds, molecule_index
from openmm_plugin.force import (
    PotentialForce,
    make_force,
    topology_atomic_numbers,
    torch_force,
)
from openmm_plugin.ledger import LedgerReporter
from openmm_plugin.molecules import MoleculeEnergyReporter
from openmm_plugin.trajectory import UnwrappedDCDReporter

__all__ = [
    "LedgerReporter",
    "MoleculeEnergyReporter",
    "PotentialForce",
    "UnwrappedDCDReporter",
    "make_force",
    "molecule_bonds",
    "molecule_index",
    "topology_atomic_numbers",
    "torch_force",
]
