"""System, integrator and context of a run."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from openmm import Context, Force, Integrator, Platform, System, Vec3, unit
from openmm.app import Simulation, Topology

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.simulate.inner import add_inner_forces
from fisher_mlip.simulate.integrators import (
    PS_PER_FS,
    add_ensemble,
    make_integrator,
    momentum_groups,
    seed_noise,
    starts_half_a_step_back,
)
from fisher_mlip.simulate.platform import choose_platform
from fisher_mlip.simulate.systems import MolecularSystem
from fisher_mlip.simulate.velocities import half_step_back, maxwell_boltzmann
from fisher_mlip.threads import use_fastest_threads
from fisher_mlip.units import NM_PER_ANGSTROM
from openmm_plugin import PotentialForce, make_force, molecule_bonds


class PotentialSimulation(Simulation):  # type: ignore[misc]
    """A simulation that knows its potential: the route taken, and the list's rebuilds."""

    def __init__(self, potential: PotentialForce, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.potential = potential


def build_simulation(
    molecular: MolecularSystem, artefact: Artefact, config: SimulateConfig, seed: int, step: int
) -> PotentialSimulation:
    """Return an OpenMM simulation of the system under the potential, without a state yet.

    Args:
        molecular: the atoms, in the box that they start or go on in.
        artefact: the potential.
        config: ensemble, timestep, temperature, friction, skin, platform.
        seed: of the noise.
        step: that it will start or go on from, which decides the noise too.

    Raises:
        InputError: an element that the potential does not know, an ensemble that the system does
            not fit, or no such platform.
    """
    check_ensemble(molecular, config)
    platform, _ = choose_platform(config)
    potential = potential_force(molecular, artefact, config, platform.getName())
    arguments = simulation_parts(molecular, config, [potential.force], seed, step)
    return PotentialSimulation(potential, *arguments)


def simulation_parts(
    molecular: MolecularSystem,
    config: SimulateConfig,
    forces: Sequence[Force],
    seed: int,
    step: int,
) -> tuple[Topology, System, Integrator, Platform, dict[str, str]]:
    """Return what OpenMM makes a simulation of.

    Args:
        molecular, config, seed, step: as `build_simulation`.
        forces: of the potential; none for an engine that has no potential to call.

    Raises:
        InputError: no such platform, or an inner potential that does not know the system.
    """
    system = System()
    for mass in molecular.masses:
        system.addParticle(float(mass))
    if molecular.cell is not None:
        system.setDefaultPeriodicBoxVectors(*box_vectors(molecular.cell))
    platform, properties = choose_platform(config)
    for force in forces:
        system.addForce(force)
    system.addForce(molecule_bonds(molecular.topology))
    add_inner_forces(system, molecular, config)
    add_ensemble(system, config)
    integrator = make_integrator(config)
    seed_noise(system, integrator, config, seed, step)
    return molecular.topology, system, integrator, platform, properties


def potential_force(
    molecular: MolecularSystem, artefact: Artefact, config: SimulateConfig, platform: str
) -> PotentialForce:
    """Return the potential as a force on all atoms, for a platform."""
    return make_force(
        artefact,
        molecular.topology,
        route=config.route,
        platform=platform,
        periodic=molecular.is_periodic,
        skin=config.skin,
        independent_molecules=molecular.independent_molecules,
    )


def check_ensemble(molecular: MolecularSystem, config: SimulateConfig) -> None:
    """Check that a barostat can change this system's volume.

    Raises:
        InputError: it is not periodic, or has no bonds that say what moves together.
    """
    if config.ensemble != "npt":
        return
    check_volume(molecular, config)
    if molecular.topology.getNumBonds() == 0 and molecular.topology.getNumAtoms() > 1:
        raise InputError(
            f"expected bonds for the ensemble npt, whose barostat moves whole molecules, found "
            f"none in '{config.system}'"
        )


def check_volume(molecular: MolecularSystem, config: SimulateConfig) -> None:
    """Check that there is a volume where the ensemble changes it, in whichever engine.

    Raises:
        InputError: there is none.
    """
    if config.ensemble == "npt" and not molecular.is_periodic:
        raise InputError(
            f"expected a periodic system for the ensemble npt, found '{config.system}' without a "
            "box: it has no volume"
        )


def set_start(simulation: Simulation, molecular: MolecularSystem, config: SimulateConfig) -> None:
    """Put the simulation at step 0: positions, and velocities at the temperature.

    Raises:
        InputError: a force is not finite.
    """
    simulation.context.setPositions(molecular.positions * NM_PER_ANGSTROM)
    forces = context_forces(simulation.context)
    is_finite = np.isfinite(forces).all(axis=1)
    if not is_finite.all():
        raise InputError(
            "expected starting positions with finite forces, found a force that is not finite on "
            f"atom {int(np.argmin(is_finite))}: do atoms coincide?"
        )
    draw_velocities(simulation, molecular, config, config.seed)


def draw_velocities(
    simulation: Simulation, molecular: MolecularSystem, config: SimulateConfig, seed: int
) -> None:
    """Give the atoms velocities at the temperature; those of a leapfrog half a step earlier."""
    masses, groups = molecular.masses, momentum_groups(molecular, config)
    if groups is None:
        groups = molecular.isolated_groups
    velocities = maxwell_boltzmann(masses, config.temperature, groups, seed)
    if starts_half_a_step_back(config):
        forces = context_forces(simulation.context)
        velocities = half_step_back(velocities, forces, masses, config.timestep * PS_PER_FS)
    simulation.context.setVelocities(velocities)


def choose_threads(simulation: Simulation, before: int | None = None) -> int:
    """Let torch use as many threads as make a step of this system fastest, and return them.

    Sums over several threads have other last bits than those of one, so a run that is resumed keeps
    the threads that it had before.

    Args:
        simulation: whose step is timed.
        before: the threads of the run that is resumed; None where they are not known.
    """
    if before is None or "OMP_NUM_THREADS" in os.environ or before > (os.cpu_count() or 1):
        return use_fastest_threads(lambda: context_forces(simulation.context))
    torch.set_num_threads(before)
    return before


def context_forces(context: Context) -> FloatArray:
    """Return the potential's forces on all atoms, (n_atoms, 3), kJ/mol/nm."""
    groups = context.getIntegrator().getIntegrationForceGroups()
    forces = context.getState(forces=True, groups=groups).getForces(asNumpy=True)
    return np.asarray(forces.value_in_unit(unit.kilojoule_per_mole / unit.nanometer))


def box_vectors(cell: FloatArray) -> list[Vec3]:
    """Return a cell (3, 3), Å, as OpenMM's box vectors, nm."""
    return [Vec3(*(row * NM_PER_ANGSTROM)) for row in cell]
