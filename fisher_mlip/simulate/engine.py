"""System, integrator and context of a run."""

from typing import Any

import numpy as np
from openmm import (
    Context,
    Integrator,
    LangevinMiddleIntegrator,
    System,
    Vec3,
    VerletIntegrator,
    unit,
)
from openmm.app import Simulation

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.simulate.platform import choose_platform
from fisher_mlip.simulate.systems import MolecularSystem
from fisher_mlip.simulate.velocities import half_step_back, maxwell_boltzmann
from fisher_mlip.threads import use_fastest_threads
from fisher_mlip.units import NM_PER_ANGSTROM
from openmm_plugin import PotentialForce, make_force, molecule_bonds

PS_PER_FS = 1e-3


class PotentialSimulation(Simulation):  # type: ignore[misc]
    """A simulation that knows its potential: the route taken, and the list's rebuilds."""

    def __init__(self, potential: PotentialForce, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.potential = potential


def build_simulation(
    molecular: MolecularSystem, artefact: Artefact, config: SimulateConfig, integrator_seed: int
) -> PotentialSimulation:
    """Return an OpenMM simulation of the system under the potential, without a state yet.

    Args:
        molecular: the atoms.
        artefact: the potential.
        config: ensemble, timestep, temperature, friction, skin, platform.
        integrator_seed: of the thermostat's noise.

    Raises:
        InputError: an element that the potential does not know, or no such platform.
    """
    system = System()
    for mass in molecular.masses:
        system.addParticle(float(mass))
    if molecular.cell is not None:
        system.setDefaultPeriodicBoxVectors(*box_vectors(molecular.cell))
    platform, properties = choose_platform(config)
    potential = make_force(
        artefact,
        molecular.topology,
        route=config.route,
        platform=platform.getName(),
        periodic=molecular.is_periodic,
        skin=config.skin,
        independent_molecules=molecular.independent_molecules,
    )
    system.addForce(potential.force)
    system.addForce(molecule_bonds(molecular.topology))
    integrator = _integrator(config, integrator_seed)
    arguments = molecular.topology, system, integrator, platform, properties
    return PotentialSimulation(potential, *arguments)


def set_start(simulation: Simulation, molecular: MolecularSystem, config: SimulateConfig) -> None:
    """Put the simulation at step 0: positions, and velocities at the temperature.

    Raises:
        InputError: a force is not finite.
    """
    masses = molecular.masses
    simulation.context.setPositions(molecular.positions * NM_PER_ANGSTROM)
    forces = context_forces(simulation.context)
    is_finite = np.isfinite(forces).all(axis=1)
    if not is_finite.all():
        raise InputError(
            "expected starting positions with finite forces, found a force that is not finite on "
            f"atom {int(np.argmin(is_finite))}: do atoms coincide?"
        )
    velocities = maxwell_boltzmann(
        masses, config.temperature, molecular.isolated_groups, config.seed
    )
    if config.ensemble == "nve":
        velocities = half_step_back(velocities, forces, masses, config.timestep * PS_PER_FS)
    simulation.context.setVelocities(velocities)


def choose_threads(simulation: Simulation) -> None:
    """Let torch use as many threads as make a step of this system fastest."""
    use_fastest_threads(lambda: context_forces(simulation.context))


def context_forces(context: Context) -> FloatArray:
    """Return the forces on all atoms, (n_atoms, 3), kJ/mol/nm."""
    forces = context.getState(forces=True).getForces(asNumpy=True)
    return np.asarray(forces.value_in_unit(unit.kilojoule_per_mole / unit.nanometer))


def box_vectors(cell: FloatArray) -> list[Vec3]:
    """Return a cell (3, 3), Å, as OpenMM's box vectors, nm."""
    return [Vec3(*(row * NM_PER_ANGSTROM)) for row in cell]


def noise_seed(seed: int, step: int) -> int:
    """Return the seed of the thermostat's noise for a run that starts at a step.

    A resumed run must not draw again the noise that it began with.
    """
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0] >> 1)


def _integrator(config: SimulateConfig, seed: int) -> Integrator:
    timestep = config.timestep * PS_PER_FS
    if config.ensemble == "nve":
        return VerletIntegrator(timestep)
    integrator = LangevinMiddleIntegrator(config.temperature, config.friction, timestep)
    integrator.setRandomNumberSeed(seed)
    return integrator
