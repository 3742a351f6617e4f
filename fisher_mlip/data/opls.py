"""The embedded reference: classical OPLS-AA ethanol as OpenMM systems, and its labels.

Energies, forces and stress are computed on OpenMM's Reference platform, in float64; sampling uses
the same systems on a faster one.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fisher_mlip.data.ethanol import FORCE_FIELD_PATH, ethanol_topology
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.units import (
    KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM,
    KJ_PER_MOL_PER_EV,
    NM_PER_ANGSTROM,
)

# Å.
CUTOFF = 10.0
_CUTOFF_PER_BOX_WIDTH = 0.45
_SWITCH_FROM = 0.9
_STRAIN = 1e-4


def reference_system(
    molecules: int,
    cell: FloatArray | None = None,
    *,
    cutoff: float = CUTOFF,
    ewald_tolerance: float = 1e-5,
) -> Any:
    """Return the `openmm.System` of interacting molecules.

    Without a cell every pair interacts. With one, Coulomb is PME and Lennard-Jones is switched
    off smoothly over the last tenth of the cutoff, with the long-range correction.

    Args:
        molecules: how many.
        cell: (3, 3), Å, rows are vectors, lower triangular.
        cutoff: Å; no more than 0.45 of the smallest width of the box is taken.
        ewald_tolerance: OpenMM's error tolerance of PME.
    """
    from openmm import CustomNonbondedForce, NonbondedForce, app, unit

    force_field = app.ForceField(str(FORCE_FIELD_PATH))
    topology = ethanol_topology(molecules, cell)
    if cell is None:
        return force_field.createSystem(topology, nonbondedMethod=app.NoCutoff)
    cutoff = min(cutoff, _CUTOFF_PER_BOX_WIDTH * _smallest_width(cell))
    system = force_field.createSystem(
        topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=cutoff * unit.angstrom,
        ewaldErrorTolerance=ewald_tolerance,
    )
    for force in system.getForces():
        if isinstance(force, CustomNonbondedForce):
            force.setUseSwitchingFunction(True)
            force.setSwitchingDistance(_SWITCH_FROM * cutoff * unit.angstrom)
            force.setUseLongRangeCorrection(True)
        if isinstance(force, NonbondedForce):
            # It holds charges only, so there is no dispersion to correct for.
            force.setUseDispersionCorrection(False)
    return system


def independent_system(molecules: int) -> Any:
    """Return the `openmm.System` of molecules that do not see each other: a gas.

    The non-bonded forces of the interacting system become bond forces over the pairs of each
    molecule, so that the cost grows with the number of molecules and not with its square.
    """
    from openmm import CustomBondForce, CustomNonbondedForce, NonbondedForce

    system = reference_system(molecules)
    one = reference_system(1)
    coulomb = next(f for f in one.getForces() if isinstance(f, NonbondedForce))
    lennard_jones = next(f for f in one.getForces() if isinstance(f, CustomNonbondedForce))
    for index in reversed(range(system.getNumForces())):
        if isinstance(system.getForce(index), NonbondedForce | CustomNonbondedForce):
            system.removeForce(index)
    pairs = CustomBondForce("138.93545764438198*qq/r + 4*epsilon*(x*x-x); x=(sigma/r)^6")
    for name in ("qq", "sigma", "epsilon"):
        pairs.addPerBondParameter(name)
    terms = _molecule_pairs(coulomb, lennard_jones)
    size = one.getNumParticles()
    for molecule in range(molecules):
        for first, second, parameters in terms:
            pairs.addBond(first + molecule * size, second + molecule * size, parameters)
    system.addForce(pairs)
    return system


@dataclass(frozen=True)
class OplsEthanol:
    """Labels from the embedded force field for one number of molecules and one box.

    Attributes:
        molecules: how many.
        cell: (3, 3), Å, rows are vectors; None for no periodic box.
    """

    molecules: int
    cell: FloatArray | None = None

    def energy(self, positions: FloatArray) -> float:
        """Return the energy, eV, of positions (9 * molecules, 3) in Å."""
        return self._state(positions, forces=False)[0]

    def energy_and_forces(self, positions: FloatArray) -> tuple[float, FloatArray]:
        """Return the energy, eV, and the forces (9 * molecules, 3), eV/Å.

        Args:
            positions: (9 * molecules, 3), Å, whole molecules.
        """
        return self._state(positions, forces=True)

    def stress(self, positions: FloatArray) -> FloatArray:
        """Return the stress dE/dε / V, (3, 3), eV/Å^3, by central differences of the energy.

        Every atom is strained. A rotation leaves the energy alone, so a one-sided shear, which
        keeps the box lower triangular as OpenMM demands, gives the same as a symmetric strain.

        Args:
            positions: (9 * molecules, 3), Å, whole molecules.

        Raises:
            InputError: there is no periodic box.
        """
        if self.cell is None:
            raise InputError("expected a periodic box for a stress, found none")
        stress = np.zeros((3, 3))
        volume = float(np.linalg.det(self.cell))
        for row, column in zip(*np.tril_indices(3), strict=True):
            energies = []
            for sign in (1.0, -1.0):
                strain = np.eye(3)
                strain[row, column] += sign * _STRAIN
                energies.append(self._state(positions @ strain, False, self.cell @ strain)[0])
            stress[row, column] = (energies[0] - energies[1]) / (2 * _STRAIN * volume)
            stress[column, row] = stress[row, column]
        return stress

    def _state(
        self, positions: FloatArray, forces: bool, cell: FloatArray | None = None
    ) -> tuple[float, FloatArray]:
        from openmm import unit

        context = self._context
        box = self.cell if cell is None else cell
        if box is not None:
            context.setPeriodicBoxVectors(*(box * NM_PER_ANGSTROM))
        context.setPositions(positions * NM_PER_ANGSTROM)
        state = context.getState(getEnergy=True, getForces=forces)
        energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
        values = np.zeros((0, 3))
        if forces:
            raw = state.getForces(asNumpy=True)
            values = raw.value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        return energy / KJ_PER_MOL_PER_EV, values / KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM

    @cached_property
    def _context(self) -> Any:
        from openmm import Context, Platform, VerletIntegrator

        system = reference_system(self.molecules, self.cell)
        return Context(system, VerletIntegrator(0.001), Platform.getPlatformByName("Reference"))


def _smallest_width(cell: FloatArray) -> float:
    return float((1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)).min())


def _molecule_pairs(
    coulomb: Any, lennard_jones: Any
) -> list[tuple[int, int, tuple[float, float, float]]]:
    from openmm import unit

    charges = [
        coulomb.getParticleParameters(i)[0].value_in_unit(unit.elementary_charge)
        for i in range(coulomb.getNumParticles())
    ]
    scaled = {}
    for index in range(coulomb.getNumExceptions()):
        first, second, product, _, _ = coulomb.getExceptionParameters(index)
        pair = (min(first, second), max(first, second))
        scaled[pair] = product.value_in_unit(unit.elementary_charge**2)
    pairs = []
    for second in range(len(charges)):
        for first in range(second):
            product = scaled.get((first, second), charges[first] * charges[second])
            sigma1, epsilon1 = lennard_jones.getParticleParameters(first)
            sigma2, epsilon2 = lennard_jones.getParticleParameters(second)
            # Excluded pairs have their Lennard-Jones, if any, in the 1-4 force.
            epsilon = 0.0 if (first, second) in scaled else float(np.sqrt(epsilon1 * epsilon2))
            if product or epsilon:
                sigma = float(np.sqrt(sigma1 * sigma2))
                pairs.append((first, second, (product, sigma, epsilon)))
    return pairs
