"""The states that a run goes on from."""

import numpy as np
from openmm import OpenMMException, State, XmlSerializer, unit
from openmm.app import Simulation

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError, UnstableRunError
from fisher_mlip.products import whole_file, write_json, write_text
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.records import CheckpointRecord, Segment

Segments = list[Segment]


def write_checkpoint(simulation: Simulation, folder: RunFolder, segments: Segments) -> None:
    """Write the state as XML, OpenMM's binary checkpoint, and the record of the segments.

    Each file is whole and knows its own step: a kill between two of them leaves two good states of
    different steps, and whichever is loaded decides where the run goes on.

    Args:
        simulation: at the step to be written.
        folder: of the run.
        segments: the trajectory's.

    Raises:
        UnstableRunError: a position or velocity is not finite; nothing is written then.
    """
    state = simulation.context.getState(positions=True, velocities=True, parameters=True)
    for name, values in (
        ("position", state.getPositions(asNumpy=True)),
        ("velocity", state.getVelocities(asNumpy=True)),
    ):
        if not np.isfinite(values.value_in_unit_system(unit.md_unit_system)).all():
            raise UnstableRunError(f"a {name} at step {simulation.currentStep} is not finite")
    write_text(folder.state, XmlSerializer.serialize(state))
    with whole_file(folder.checkpoint) as partial:
        partial.write_bytes(simulation.context.createCheckpoint())
    write_record(folder, simulation.currentStep, segments)


def load_checkpoint(simulation: Simulation, folder: RunFolder) -> int:
    """Put the simulation at its last checkpoint and return the step.

    The binary checkpoint holds the state of the noise on some platforms, but loads only where it
    was written; elsewhere the XML state is taken.

    Raises:
        InputError: neither can be read.
    """
    try:
        simulation.context.loadCheckpoint(folder.checkpoint.read_bytes())
    except (OpenMMException, OSError):
        simulation.context.setState(read_state(folder))
    return int(simulation.currentStep)


def read_state(folder: RunFolder) -> State:
    """Return the XML state of a run's last checkpoint.

    Raises:
        InputError: it is missing or cannot be read.
    """
    try:
        return XmlSerializer.deserialize(folder.state.read_text())
    except (OSError, OpenMMException, ValueError) as failure:
        raise InputError(f"expected a state in '{folder.state}', found: {failure}") from failure


def state_cell(state: State) -> FloatArray:
    """Return a state's box vectors, (3, 3), Å."""
    return np.array(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom))


def write_record(folder: RunFolder, step: int, segments: Segments) -> None:
    """Write how far a run is."""
    write_json(folder.record, CheckpointRecord(step=step, segments=segments).model_dump())


def read_segments(folder: RunFolder) -> Segments:
    """Return the recorded segments of a run's trajectory.

    Raises:
        InputError: the record is missing or damaged.
    """
    return CheckpointRecord.read(folder.record).segments
