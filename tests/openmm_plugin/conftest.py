"""A float64 potential, small simulations under it, and one under OpenMM's own springs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openmm
import pytest
from openmm.app import Simulation, Topology, element

from fisher_mlip.data.ethanol import ethanol_positions, ethanol_topology
from fisher_mlip.export import Artefact
from openmm_plugin import torch_force

MakeSprings = Callable[[openmm.Integrator], Simulation]


@pytest.fixture
def springs() -> MakeSprings:
    """Simulations of C, H, O, H on anharmonic springs, moving, with given integrators."""

    def make(integrator: openmm.Integrator) -> Simulation:
        topology, system = Topology(), openmm.System()
        residue = topology.addResidue("MOL", topology.addChain())
        force = openmm.CustomExternalForce("500*(x^2+2*y^2+z^2)+300*x^4")
        for index, symbol in enumerate(("C", "H", "O", "H")):
            kind = element.get_by_symbol(symbol)
            topology.addAtom(symbol, kind, residue)
            system.addParticle(kind.mass)
            force.addParticle(index)
        system.addForce(force)
        platform = openmm.Platform.getPlatformByName("Reference")
        simulation = Simulation(topology, system, integrator, platform)
        generator = np.random.default_rng(1)
        simulation.context.setPositions(generator.normal(0.0, 0.3, (4, 3)))
        simulation.context.setVelocities(generator.normal(0.0, 2.0, (4, 3)))
        return simulation

    return make


@pytest.fixture
def gas(artefact: Artefact) -> Simulation:
    """Three ethanols that do not see each other, on top of each other, moving."""
    topology = ethanol_topology(3)
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    system.addForce(torch_force(artefact, topology, independent_molecules=True))
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = Simulation(topology, system, openmm.VerletIntegrator(0.0005), platform)
    generator = np.random.default_rng(2)
    positions = np.tile(ethanol_positions() * 0.1, (3, 1))
    simulation.context.setPositions(positions + generator.normal(0.0, 0.003, positions.shape))
    simulation.context.setVelocities(generator.normal(0.0, 0.5, positions.shape))
    return simulation


def read_rows(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the columns and rows of a reporter's file."""
    header, *lines = path.read_text().splitlines()
    columns = [column.strip('"') for column in header.removeprefix("#").split(",")]
    return columns, np.array([[float(value) for value in line.split(",")] for line in lines])
