"""The states that a run goes on from."""

import numpy as np
import torch
from openmm import OpenMMException, State, XmlSerializer, unit
from openmm.app import Simulation

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError, UnstableRunError
from fisher_mlip.products import write_json, write_text
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.integrators import complete_state
from fisher_mlip.simulate.records import CheckpointRecord, Segment

Segments = list[Segment]


def write_checkpoint(simulation: Simulation, folder: RunFolder, segments: Segments) -> None:
    """Write the state as XML and the record of the segments.

    Each file is whole, and the state knows its own step: a kill between the two decides nothing.
    XML holds every number to the last bit, and more than OpenMM's binary checkpoints, which load
    on one machine only and lose the noise of the CPU platform all the same.

    Args:
        simulation: at the step to be written.
        folder: of the run.
        segments: the trajectory's.

    Raises:
        UnstableRunError: a position or velocity is not finite; nothing is written then.
    """
    state = complete_state(simulation)
    for name, values in (
        ("position", state.getPositions(asNumpy=True)),
        ("velocity", state.getVelocities(asNumpy=True)),
    ):
        if not np.isfinite(values.value_in_unit_system(unit.md_unit_system)).all():
            raise UnstableRunError(f"a {name} at step {simulation.currentStep} is not finite")
    write_text(folder.state, XmlSerializer.serialize(state))
    write_record(folder, simulation.currentStep, segments)


def read_state(folder: RunFolder) -> State:
    """Return the XML state of a run's last checkpoint.

    Raises:
        InputError: it is missing or cannot be read.
    """
    try:
        found = XmlSerializer.deserialize(folder.state.read_text())
        if not isinstance(found, State):
            raise ValueError(f"a {type(found).__name__}")
        return found
    except (OSError, OpenMMException, ValueError) as failure:
        raise InputError(f"expected a state in '{folder.state}', found: {failure}") from failure


def state_cell(state: State) -> FloatArray:
    """Return a state's box vectors, (3, 3), Å."""
    return np.array(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom))


def write_record(folder: RunFolder, step: int, segments: Segments) -> None:
    """Write how far a run is, and with how many threads of torch."""
    threads = torch.get_num_threads()
    record = CheckpointRecord(step=step, segments=segments, torch_threads=threads)
    write_json(folder.record, record.model_dump())
