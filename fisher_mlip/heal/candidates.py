"""The frames of an alarm -> those to label, the most telling first."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from openmm import OpenMMException, XmlSerializer, unit
from scipy.spatial.distance import pdist

from fisher_mlip.data.ase_frames import frame_of_atoms
from fisher_mlip.data.distances import neighbor_pairs
from fisher_mlip.data.frames import FloatArray, Frame, Frames, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, ArtefactPotential
from fisher_mlip.fisher.gram_file import GramFile, configuration_hash, frame_hashes
from fisher_mlip.simulate.checkpoints import state_cell
from fisher_mlip.simulate.healing import Illness
from fisher_mlip.simulate.rewinding import good_steps
from fisher_mlip.simulate.systems import MolecularSystem
from openmm_plugin.watch import ForceUncertainty

# Of a gas: molecules that raised no alarm, whose states are labelled too.
OTHERS = 3


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame of a run, the step that it is of and, of a gas, its molecule."""

    step: int
    frame: Frame
    molecule: int = 0


def system_frames(molecular: MolecularSystem, most_molecules: int) -> Frames:
    """Return a system as frames: whole, or its first molecules where they are independent."""
    whole = Frame(_numbers(molecular), molecular.positions)
    if molecular.cell is not None:
        whole = replace(whole, cell=molecular.cell, pbc=np.ones(3, dtype=bool))
    if not molecular.independent_molecules:
        return Frames((whole,), source="the run's start")
    index = molecular.molecules
    first = range(min(most_molecules, int(index.max()) + 1))
    return Frames(tuple(_part(whole, index == m) for m in first), source="the run's start")


def alarm_moments(illness: Illness, artefact: Artefact) -> tuple[list[Moment], list[Moment]]:
    """Return the frames before an alarm and earlier states, both in time.

    Molecules that are independent come one by one: those that the alarms name, or the one that the
    model is least sure of (for its uncertainty), or the fastest. The states are those that the run
    could be rewound to, with a few of the other molecules: they are as hot, and the next to go.

    Args:
        illness: the alarms, with a file of frames.
        artefact: the model that was running.

    Raises:
        InputError: a file cannot be read.
    """
    steps = good_steps(illness.folder)
    images = _later_than(max(steps, default=-1), _images(illness))
    looks = [Moment(int(i.info["step"]), frame_of_atoms(i, "a frame of the alarm")) for i in images]
    if not looks:
        return [], []
    first, states = looks[0].step, [_state(illness, step) for step in steps]
    states = [state for state in states if state.step < first]
    if not illness.molecular.independent_molecules:
        return looks, states
    index = illness.molecular.molecules
    sick = _named(illness, index) or [_sickest(illness, looks[-1].frame, images[-1], artefact)]
    others = [molecule for molecule in range(int(index.max()) + 1) if molecule not in sick]
    watched = [*sick, *others[:OTHERS]]
    return _parts(looks, index, sick), _parts(states, index, watched)


def _later_than(step: int, images: list[Any]) -> list[Any]:
    """Return the looks after the last checkpoint, or that of the alarm alone.

    A watch forgets its looks when a run is killed: without those of before the checkpoint, a
    resumed run is healed as one that was never killed. Its state stands in for them.
    """
    return [image for image in images if int(image.info["step"]) > step] or images[-1:]


def _parts(moments: Sequence[Moment], index: IntArray, molecules: Sequence[int]) -> list[Moment]:
    return [
        Moment(whole.step, _part(whole.frame, index == molecule), molecule)
        for whole in moments
        for molecule in molecules
    ]


def usable(
    moments: Sequence[Moment], gram: GramFile, shortest_distance: float
) -> tuple[list[Moment], list[str]]:
    """Return the frames that may be labelled, and why others may not, in words.

    Args:
        moments: of an alarm.
        gram: frames that were summed already cannot be added again.
        shortest_distance: Å.
    """
    kept: list[Moment] = []
    reasons: list[str] = []
    known = {configuration_hash(each) for each in (*gram.frames, *gram.held_out_frames)}
    for moment in moments:
        frame = moment.frame
        if not np.isfinite(frame.positions).all():
            reasons.append("positions that are not finite")
            continue
        distances = neighbor_pairs(frame, shortest_distance)[2] if shortest_distance else ()
        own = configuration_hash(frame_hashes(Frames((frame,)))[0])
        if len(distances):
            reasons.append(f"atoms {min(distances):.2f} Å from each other")
        elif own in known:
            reasons.append("a frame that is known already")
        else:
            known.add(own)
            kept.append(moment)
    return kept, reasons


def spread_out(moments: Sequence[Moment]) -> list[Moment]:
    """Return moments in an order whose first ones are far from each other, the last one first.

    Source: farthest-point sampling over distances between atoms.
    """
    if not moments:
        return []
    rows = np.array([pdist(moment.frame.positions) for moment in moments])
    order = [len(moments) - 1]
    nearest = _far(rows, order[0])
    while len(order) < len(moments):
        nearest[order] = -1.0
        order.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, _far(rows, order[-1]))
    return [moments[number] for number in order]


def in_turn(first: Sequence[Moment], second: Sequence[Moment]) -> list[Moment]:
    """Return moments of two kinds alternately, the rest of the longer one at the end."""
    pairs = zip_longest(first, second)
    return [moment for pair in pairs for moment in pair if moment is not None]


def _far(rows: FloatArray, number: int) -> FloatArray:
    return np.asarray(np.sqrt(np.mean((rows - rows[number]) ** 2, axis=1)))


def _images(illness: Illness) -> list[Any]:
    from ase.io import read

    name = next((alarm.frames for alarm in illness.alarms if alarm.frames), "")
    path = illness.folder.path / name
    if not name or not Path(path).is_file():
        return []
    try:
        return list(read(path, index=":", format="extxyz"))
    except Exception as error:
        raise InputError(f"expected frames in '{path}', found: {error}") from None


def _state(illness: Illness, step: int) -> Moment:
    """Return the positions of a state that the run could be rewound to."""
    path = illness.folder.good_state(step)
    try:
        state = XmlSerializer.deserialize(path.read_text())
        positions = np.array(state.getPositions(asNumpy=True).value_in_unit(unit.angstrom))
    except (OSError, OpenMMException, AttributeError) as failure:
        raise InputError(f"expected a state in '{path}', found: {failure}") from None
    frame = Frame(_numbers(illness.molecular), positions)
    if illness.molecular.is_periodic:
        frame = replace(frame, cell=state_cell(state), pbc=np.ones(3, dtype=bool))
    return Moment(step, frame)


def _numbers(molecular: MolecularSystem) -> IntArray:
    return np.array([atom.element.atomic_number for atom in molecular.topology.atoms()])


def _part(frame: Frame, atoms: Any) -> Frame:
    return Frame(frame.atomic_numbers[atoms], frame.positions[atoms])


def _named(illness: Illness, index: IntArray) -> list[int]:
    """Return the molecules of the atoms that the alarms name."""
    atoms = [int(n) for alarm in illness.alarms for n in re.findall(r"\d+", alarm.where)]
    return sorted({int(index[atom]) for atom in atoms if atom < len(index)})


def _sickest(illness: Illness, frame: Frame, image: Any, artefact: Artefact) -> int:
    """Return the molecule with the largest uncertainty, where that is the alarm, or the fastest."""
    index = illness.molecular.molecules
    is_unsure = any(alarm.criterion == ForceUncertainty.name for alarm in illness.alarms)
    if is_unsure and artefact.manifest.sampled_heads:
        numbers = frame.atomic_numbers
        potential = ArtefactPotential(artefact, numbers, periodic=False, molecules=index)
        spread = potential.force_uncertainty(frame.positions)
        return int(index[int(np.nanargmax(spread))])
    squares = (np.asarray(image.arrays["velocities"]) ** 2).sum(axis=1)
    energies = np.bincount(index, weights=squares * illness.molecular.masses)
    return int(np.nanargmax(energies))
