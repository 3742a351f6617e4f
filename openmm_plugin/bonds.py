"""Molecules as OpenMM sees them: connected by the bonds of the topology."""

import numpy as np
import numpy.typing as npt
from openmm import HarmonicBondForce
from openmm.app import Topology
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def molecule_bonds(topology: Topology) -> HarmonicBondForce:
    """Return bonds of zero strength, one for each bond of the topology.

    OpenMM finds molecules by the bonds of the forces. A system with nothing but a machine-learned
    force has none, so that every atom is its own molecule and a barostat, which moves molecules,
    tears them apart when it scales the box.

    Args:
        topology: with bonds.

    Returns:
        A force without energy, to be added to the System beside the potential.
    """
    force = HarmonicBondForce()
    for bond in topology.bonds():
        force.addBond(bond.atom1.index, bond.atom2.index, 0.1, 0.0)
    force.setUsesPeriodicBoundaryConditions(topology.getPeriodicBoxVectors() is not None)
    return force


def molecule_index(topology: Topology) -> npt.NDArray[np.int64]:
    """Return for each atom the index of its molecule, numbered by their first atoms.

    Args:
        topology: atoms that no bond reaches are molecules of their own.

    Returns:
        (n_atoms,).
    """
    n_atoms = topology.getNumAtoms()
    pairs = np.array(
        [(bond.atom1.index, bond.atom2.index) for bond in topology.bonds()], dtype=np.int64
    ).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n_atoms, n_atoms))
    _, labels = connected_components(graph, directed=False)
    _, first_atoms, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first_atoms))
    return np.asarray(rank[inverse], dtype=np.int64)
