"""The criteria that fit a system without anything else being known."""

from openmm.app import Topology

from openmm_plugin.bonds import molecule_index
from openmm_plugin.watch.bond_lengths import BondDeviation
from openmm_plugin.watch.bounds import EnergyChange, LargestForce, TemperatureRise
from openmm_plugin.watch.criterion import Criterion
from openmm_plugin.watch.pairs import IntermolecularDistance
from openmm_plugin.watch.windows import Equipartition


def standard_criteria(
    topology: Topology,
    *,
    temperature: float = 0.0,
    is_conserved: bool = False,
    independent_molecules: bool = False,
    bond_deviation: float = 0.5,
    intermolecular_distance: float = 1.2,
    largest_force: float = 50.0,
    temperature_ratio: float = 2.0,
    energy_change: float = 0.05,
    equipartition: float = 0.5,
    window_ps: float = 1.0,
) -> list[Criterion]:
    """Return the criteria that apply; a bound of 0 leaves one out.

    Args:
        topology: bonds and molecules; without bonds there are neither bonds nor distances between
            molecules to watch.
        temperature: K, the target; 0 for none.
        is_conserved: whether the total energy should stay where it is (NVE).
        independent_molecules: whether molecules do not see each other.
        bond_deviation: Å, as `BondDeviation`.
        intermolecular_distance: Å, as `IntermolecularDistance`.
        largest_force: eV/Å, as `LargestForce`.
        temperature_ratio: as `TemperatureRise`.
        energy_change: eV/atom, as `EnergyChange`.
        equipartition: as `Equipartition`.
        window_ps: of `Equipartition`.
    """
    molecules = molecule_index(topology)
    n_molecules = int(molecules.max(initial=-1)) + 1
    has_neighbors = 1 < n_molecules < len(molecules) and not independent_molecules
    criteria: list[Criterion] = []
    if bond_deviation and topology.getNumBonds():
        criteria.append(BondDeviation(topology, bond_deviation))
    if intermolecular_distance and has_neighbors:
        criteria.append(IntermolecularDistance(topology, intermolecular_distance))
    if largest_force:
        criteria.append(LargestForce(largest_force))
    if temperature_ratio and temperature > 0.0:
        criteria.append(TemperatureRise(temperature, temperature_ratio))
    if energy_change and is_conserved:
        criteria.append(EnergyChange(energy_change))
    if equipartition:
        criteria.append(Equipartition(equipartition, window_ps=window_ps))
    return criteria
