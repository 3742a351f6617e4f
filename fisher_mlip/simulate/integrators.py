"""Integrators of the ensembles, their noise, and the momenta that they leave alone."""

import numpy as np
from openmm import (
    CMMotionRemover,
    Integrator,
    LangevinMiddleIntegrator,
    MonteCarloBarostat,
    NoseHooverIntegrator,
    State,
    System,
    VerletIntegrator,
)
from openmm.app import Simulation

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import IntArray
from fisher_mlip.simulate.systems import MolecularSystem
from openmm_plugin.respa import respa_integrator

PS_PER_FS = 1e-3


def is_langevin(config: SimulateConfig) -> bool:
    """Return whether velocities are kicked at random."""
    return config.ensemble != "nve" and config.thermostat == "langevin"


def is_nose_hoover(config: SimulateConfig) -> bool:
    """Return whether a chain of thermostats scales the velocities."""
    return config.ensemble != "nve" and config.thermostat == "nose-hoover"


def begins_anew(config: SimulateConfig) -> bool:
    """Return whether checkpoints begin anew what decides where a run goes and no State holds.

    That is the noise, and of an inner potential the neighbor list that OpenMM's pair forces keep
    between steps, whose order their float32 sums follow.
    """
    return is_langevin(config) or config.ensemble == "npt" or bool(config.inner)


def starts_half_a_step_back(config: SimulateConfig) -> bool:
    """Return whether the integrator is a leapfrog of which an exact start is asked."""
    return config.ensemble == "nve" and not config.inner


def momentum_groups(molecular: MolecularSystem, config: SimulateConfig) -> IntArray | None:
    """Return the groups of atoms whose momentum stays zero; None where a thermostat kicks all.

    A Nosé-Hoover chain scales all velocities alike: of its atoms only the total momentum is zero.
    """
    if is_langevin(config):
        return None
    if is_nose_hoover(config):
        return np.zeros(len(molecular.positions), dtype=np.int64)
    return molecular.isolated_groups


def make_integrator(config: SimulateConfig) -> Integrator:
    """Return the integrator of a run."""
    timestep = config.timestep * PS_PER_FS
    if config.inner:
        temperature = config.temperature if is_langevin(config) else None
        return respa_integrator(
            timestep, config.respa_steps, temperature=temperature, friction=config.friction
        )
    if config.ensemble == "nve":
        return VerletIntegrator(timestep)
    if is_nose_hoover(config):
        return NoseHooverIntegrator(config.temperature, config.collision_frequency, timestep)
    return LangevinMiddleIntegrator(config.temperature, config.friction, timestep)


def add_ensemble(system: System, config: SimulateConfig) -> None:
    """Add the barostat of NPT, and what tells a Nosé-Hoover chain its degrees of freedom.

    OpenMM's chain holds 3N k_B T / 2, or three degrees of freedom less with a CMMotionRemover. The
    total momentum of a run starts at zero and stays there, so that without one the atoms would be
    hotter than asked for by N / (N - 1).
    """
    if config.ensemble == "npt":
        barostat = MonteCarloBarostat(
            config.pressure_bar, config.temperature, config.barostat_interval
        )
        system.addForce(barostat)
    if is_nose_hoover(config):
        system.addForce(CMMotionRemover(1))


def seed_noise(
    system: System, integrator: Integrator, config: SimulateConfig, seed: int, step: int
) -> None:
    """Draw the seeds of the thermostat's and the barostat's noise from the run's and the step.

    OpenMM takes them up when a context is made. No State and no checkpoint of its CPU platform
    holds the state of the noise, so every checkpoint begins it anew: what follows is decided by the
    seed and the step, in a run that goes on as in one that is resumed.
    """
    thermostat, barostat = noise_seeds(seed, step)
    if is_langevin(config):
        integrator.setRandomNumberSeed(thermostat)
    for force in system.getForces():
        if isinstance(force, MonteCarloBarostat):
            force.setRandomNumberSeed(barostat)


def noise_seeds(seed: int, step: int) -> tuple[int, int]:
    """Return OpenMM's seeds for the noise from a step on: positive, where zero is any seed."""
    drawn = np.random.SeedSequence([seed, step]).generate_state(2) >> 1
    first, second = (max(1, int(value)) for value in drawn)
    return first, second


def renew(simulation: Simulation, config: SimulateConfig, seed: int) -> None:
    """Begin a run anew at its checkpoint, just as one that is resumed there begins.

    The barostat takes its first step from the System's default box (1 % of its volume), so that is
    set to the box of the moment. A run of which a State holds everything is left alone.
    """
    if not begins_anew(config):
        return
    context = simulation.context
    state = complete_state(simulation)
    simulation.system.setDefaultPeriodicBoxVectors(*state.getPeriodicBoxVectors())
    seed_noise(simulation.system, simulation.integrator, config, seed, simulation.currentStep)
    context.reinitialize()
    context.setState(state)


def complete_state(simulation: Simulation) -> State:
    """Return all that decides where a run goes on, but noise: a Nosé-Hoover chain too."""
    return simulation.context.getState(
        positions=True, velocities=True, parameters=True, integratorParameters=True
    )
