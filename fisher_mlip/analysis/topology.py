"""`Reference` -> OpenMM's topology, which the watch's criteria take."""

from openmm.app import Topology, element

from fisher_mlip.analysis.run import Reference


def openmm_topology(reference: Reference) -> Topology:
    """Return elements and bonds as OpenMM holds them, in the run's order."""
    topology = Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    kinds = [element.get_by_symbol(symbol) for symbol in reference.symbols]
    atoms = [topology.addAtom(kind.symbol, kind, residue) for kind in kinds]
    for first, second in reference.bonds:
        topology.addBond(atoms[first], atoms[second])
    return topology
