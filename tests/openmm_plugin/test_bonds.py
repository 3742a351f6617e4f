"""Molecules as OpenMM and the ledger see them."""

import numpy as np
import openmm
from openmm.app import Topology, element

from fisher_mlip.data.ethanol import ethanol_topology
from openmm_plugin import molecule_bonds, molecule_index


def _context(topology: Topology, *forces: openmm.Force) -> openmm.Context:
    system = openmm.System()
    for _ in topology.atoms():
        system.addParticle(12.0)
    for force in forces:
        system.addForce(force)
    platform = openmm.Platform.getPlatformByName("Reference")
    return openmm.Context(system, openmm.VerletIntegrator(0.001), platform)


def test_openmm_finds_the_molecules_by_the_zero_bonds() -> None:
    topology = ethanol_topology(3)
    with_bonds = _context(topology, molecule_bonds(topology)).getMolecules()
    assert sorted(map(sorted, with_bonds)) == np.arange(27).reshape(3, 9).tolist()
    assert len(_context(topology).getMolecules()) == 27


def test_zero_bonds_have_no_energy() -> None:
    topology = ethanol_topology(1)
    context = _context(topology, molecule_bonds(topology))
    context.setPositions(np.random.default_rng(0).normal(size=(9, 3)))
    state = context.getState(energy=True, forces=True)
    assert state.getPotentialEnergy()._value == 0.0
    assert not np.any(state.getForces(asNumpy=True)._value)


def test_bonds_are_periodic_where_the_topology_is() -> None:
    assert not molecule_bonds(ethanol_topology(1)).usesPeriodicBoundaryConditions()
    periodic = ethanol_topology(1, 10.0 * np.eye(3))
    assert molecule_bonds(periodic).usesPeriodicBoundaryConditions()


def test_molecule_index_of_atoms_out_of_order() -> None:
    topology = Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    atoms = [topology.addAtom(f"H{i}", element.hydrogen, residue) for i in range(5)]
    topology.addBond(atoms[1], atoms[4])
    topology.addBond(atoms[2], atoms[0])
    assert molecule_index(topology).tolist() == [0, 1, 0, 2, 1]
