"""Run folder -> the state that its segment is run again from, with velocities at the step."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from openmm import unit

from fisher_mlip.config import SimulateConfig, read_config
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, load_artefact
from fisher_mlip.products import sha256_of_file
from fisher_mlip.simulate.checkpoints import read_state, state_cell
from fisher_mlip.simulate.engine import build_simulation
from fisher_mlip.simulate.folder import RunFolder, first_system, read_description
from fisher_mlip.simulate.healing import artefact_in_use
from fisher_mlip.simulate.integrators import momentum_groups, starts_half_a_step_back
from fisher_mlip.simulate.records import Reference
from fisher_mlip.simulate.systems import MolecularSystem
from fisher_mlip.simulate.velocities import maxwell_boltzmann
from fisher_mlip.units import NM_PER_ANGSTROM
from openmm_plugin.kinetics import on_step_velocities

At = Literal["checkpoint", "start"]


@dataclass(frozen=True, eq=False)
class StartState:
    """What every variant starts from.

    Attributes:
        config: of the run.
        artefact: its model; at the checkpoint of a healed run the healed one that it goes on with.
        molecular: the atoms at their positions, (n_atoms, 3), Å.
        velocities: (n_atoms, 3), nm/ps, at the time of the positions.
        step: of the run.
    """

    config: SimulateConfig
    artefact: Artefact
    molecular: MolecularSystem
    velocities: FloatArray
    step: int


def read_start(path: Path, at: At) -> StartState:
    """Return a run's last checkpoint, or its start.

    The start has the positions of `topology.pdb`, to 0.001 Å, and the velocities that the run's
    seed draws.

    Args:
        path: of a run in OpenMM.
        at: which state.

    Raises:
        InputError: no such run, one in LAMMPS, or a model that is gone or is another one by now, or
            a file that is damaged.
    """
    place = RunFolder(path)
    if not place.record.exists():
        raise InputError(f"expected a run folder of `simulate` at '{path}', found none")
    config = read_config(place.config, SimulateConfig)
    if config.engine != "openmm":
        raise InputError(f"expected a run in OpenMM to run again, found one in LAMMPS at '{path}'")
    artefact = load_artefact(Path(config.model))
    if sha256_of_file(artefact.path) != Reference.read(place.reference).model_sha256:
        raise InputError(f"'{artefact.path}' is no longer the model that '{path}' was made with")
    return (_at_start if at == "start" else _at_checkpoint)(place, config, artefact)


def _at_start(place: RunFolder, config: SimulateConfig, artefact: Artefact) -> StartState:
    molecular = first_system(place)
    groups = momentum_groups(molecular, config)
    groups = molecular.isolated_groups if groups is None else groups
    velocities = maxwell_boltzmann(molecular.masses, config.temperature, groups, config.seed)
    return StartState(config, artefact, molecular, velocities, 0)


def _at_checkpoint(place: RunFolder, config: SimulateConfig, artefact: Artefact) -> StartState:
    artefact, state = artefact_in_use(place, artefact), read_state(place)
    described = read_description(place, state_cell(state))
    positions = np.array(state.getPositions(asNumpy=True).value_in_unit(unit.angstrom))
    molecular = replace(described, positions=positions)
    velocities = np.array(
        state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond)
    )
    if starts_half_a_step_back(config):
        # A leapfrog's state has them half a step ago, which is another time at another step.
        simulation = build_simulation(molecular, artefact, config, config.seed, 0)
        simulation.context.setPositions(positions * NM_PER_ANGSTROM)
        simulation.context.setVelocities(velocities)
        known = simulation.context.getState(velocities=True, forces=True)
        velocities = on_step_velocities(simulation.integrator, known, molecular.masses)
    return StartState(config, artefact, molecular, velocities, int(state.getStepCount()))
