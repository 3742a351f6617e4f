"""Replicas of a system in OpenMM: molecules that do not see each other, or boxes side by side."""

from pathlib import Path

import numpy as np
from openmm import OpenMMException, unit

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.export import Artefact
from fisher_mlip.simulate.engine import PotentialSimulation, build_simulation, choose_threads
from fisher_mlip.simulate.systems import MolecularSystem, check_box
from fisher_mlip.simulate.velocities import maxwell_boltzmann
from fisher_mlip.stable.config import StableConfig
from fisher_mlip.stable.configurations import Configurations, topology_with_bonds
from fisher_mlip.units import NM_PER_ANGSTROM


class Replicas:
    """Copies of one system under a potential, by Langevin dynamics.

    Molecules in free space share one context, in which atoms of different molecules do not
    interact; of a periodic box each copy has its own.

    Args:
        artefact: the potential.
        start: one configuration a replica, of which boxes keep their cells.
        config: temperature, timestep, friction, platform.
        seed: of the noise.
    """

    def __init__(
        self, artefact: Artefact, start: Configurations, config: StableConfig, seed: int
    ) -> None:
        self.n_replicas, self.n_atoms = len(start), len(start.atomic_numbers)
        self.temperature, self.cells = config.temperature, start.cells
        systems = molecular_systems(start)
        self.masses = systems[0].masses[: self.n_atoms]
        run = _run_config(artefact.path, config)
        self._simulations: list[PotentialSimulation] = [
            build_simulation(system, artefact, run, seed, step=number)
            for number, system in enumerate(systems)
        ]
        self.kernel = self._simulations[0].potential.name

    def place(self, positions: FloatArray, velocities: FloatArray) -> None:
        """Set positions, Å, and velocities, nm/ps, each (n_replicas, n_atoms, 3)."""
        for k, simulation in enumerate(self._simulations):
            mine = slice(k * self._together, (k + 1) * self._together)
            places = positions[mine].reshape(-1, 3) * NM_PER_ANGSTROM
            simulation.context.setPositions(places)
            simulation.context.setVelocities(velocities[mine].reshape(-1, 3))

    def settle_threads(self) -> None:
        """Let torch use as many threads as make a step fastest; positions must be set."""
        choose_threads(self._simulations[0])

    def state(self) -> tuple[FloatArray, FloatArray]:
        """Return positions, Å, and velocities, nm/ps, each (n_replicas, n_atoms, 3)."""
        places, speeds = [], []
        for simulation in self._simulations:
            state = simulation.context.getState(positions=True, velocities=True)
            places.append(state.getPositions(asNumpy=True).value_in_unit(unit.angstrom))
            per_ps = unit.nanometer / unit.picosecond
            speeds.append(state.getVelocities(asNumpy=True).value_in_unit(per_ps))
        shape = (self.n_replicas, self.n_atoms, 3)
        return np.concatenate(places).reshape(shape), np.concatenate(speeds).reshape(shape)

    def step(self, n: int) -> bool:
        """Make n steps; return False where OpenMM stopped at a number that is not finite."""
        is_finite = True
        for simulation in self._simulations:
            try:
                simulation.integrator.step(n)
            except OpenMMException as failure:
                if "nan" not in str(failure).lower():
                    raise
                is_finite = False
        return is_finite

    def drawn_velocities(self, seed: int) -> FloatArray:
        """Return velocities at the temperature, nm/ps, (n_replicas, n_atoms, 3).

        The momentum of each replica is zero.
        """
        groups = np.repeat(np.arange(self.n_replicas), self.n_atoms)
        masses = np.tile(self.masses, self.n_replicas)
        drawn = maxwell_boltzmann(masses, self.temperature, groups, seed)
        return drawn.reshape(self.n_replicas, self.n_atoms, 3)

    @property
    def _together(self) -> int:
        return self.n_replicas // len(self._simulations)


def molecular_systems(start: Configurations) -> list[MolecularSystem]:
    """Return one system of molecules that do not see each other, or a periodic box each.

    Raises:
        InputError: a cell that OpenMM cannot take.
    """
    if start.cells is None:
        n_atoms, n = len(start.atomic_numbers), len(start)
        bonds = np.concatenate([start.bonds + k * n_atoms for k in range(n)])
        topology = topology_with_bonds(np.tile(start.atomic_numbers, n), bonds, None)
        return [MolecularSystem(topology, start.positions.reshape(-1, 3), None, True)]
    systems = []
    for positions, cell in zip(start.positions, start.cells, strict=True):
        topology = topology_with_bonds(start.atomic_numbers, start.bonds, check_box(cell))
        systems.append(MolecularSystem(topology, positions, cell, False))
    return systems


def _run_config(model: Path, config: StableConfig) -> SimulateConfig:
    return SimulateConfig(
        model=str(model),
        ensemble="nvt",
        thermostat="langevin",
        temperature=config.temperature,
        friction=config.friction,
        timestep=config.timestep,
        platform=config.platform,
    )
