"""Which frames of an alarm are labelled."""

from pathlib import Path

import numpy as np
import pytest
from openmm import Context, Platform, System, VerletIntegrator, XmlSerializer, unit

from fisher_mlip.data import Frame
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions, ethanol_topology
from fisher_mlip.fisher.gram_file import load_gram
from fisher_mlip.heal.candidates import (
    Moment,
    alarm_moments,
    in_turn,
    spread_out,
    system_frames,
    usable,
)
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.healing import Illness
from fisher_mlip.simulate.systems import MolecularSystem
from openmm_plugin.watch import Alarm

from .conftest import Poor, opls_frames


def _stretched(length: float) -> Frame:
    """Return an ethanol with the first carbon moved by a length, Å."""
    positions = ethanol_positions()
    positions[0, 0] += length
    return Frame(ATOMIC_NUMBERS, positions)


def _gas(molecules: int) -> MolecularSystem:
    shifts = 20.0 * np.arange(molecules)[:, None, None] * np.array([1.0, 0.0, 0.0])
    positions = (ethanol_positions()[None] + shifts).reshape(-1, 3)
    return MolecularSystem(ethanol_topology(molecules), positions, None, True)


def _illness(folder: Path, where: str) -> Illness:
    """Return an alarm of three molecules, the last of which is the fastest, in two looks."""
    from ase import Atoms
    from ase.io import write

    gas = _gas(3)
    looks = []
    for step, shift in ((6, 0.0), (8, 0.1)):
        image = Atoms(np.tile(ATOMIC_NUMBERS, 3), positions=gas.positions + shift)
        image.arrays["velocities"] = np.repeat([[0.1], [0.2], [0.3]], 9, axis=0) * np.ones(3)
        image.info["step"] = step
        looks.append(image)
    write(folder / "alarm-8.xyz", looks, format="extxyz")
    alarm = Alarm(8, 0.004, "largest force", 60.0, 50.0, "eV/Å", where, "heal", "alarm-8.xyz")
    return Illness(RunFolder(folder), gas, [alarm])


@pytest.mark.parametrize(
    ("where", "molecule"), [("atom 11", 1), ("C0-H5", 0), ("", 2), ("H", 2), ("atom 999", 2)]
)
def test_the_molecule_that_raised_the_alarm_is_labelled(
    where: str, molecule: int, poor: Poor, tmp_path: Path
) -> None:
    looks, states = alarm_moments(_illness(tmp_path, where), poor.artefact)
    assert ([look.step for look in looks], states) == ([6, 8], [])
    frames = [look.frame for look in looks]
    assert [frame.n_atoms for frame in frames] == [9, 9]
    expected = ethanol_positions() + np.array([20.0 * molecule, 0.0, 0.0])
    for frame, shift in zip(frames, (0.0, 0.1), strict=True):
        np.testing.assert_allclose(frame.positions, expected + shift, atol=1e-6)


def test_states_come_with_molecules_that_raised_no_alarm(poor: Poor, tmp_path: Path) -> None:
    illness = _illness(tmp_path, "atom 11")
    shifts = {2: 0.3, 4: 0.4, 7: 0.5}
    for step, shift in shifts.items():
        _write_state(illness, step, shift)
    looks, states = alarm_moments(illness, poor.artefact)
    # The look at 6 is of before the last checkpoint.
    assert [look.step for look in looks] == [8]
    assert [state.step for state in states] == [2, 2, 2, 4, 4, 4, 7, 7, 7]
    for state, molecule in zip(states, (1, 0, 2) * 3, strict=True):
        expected = ethanol_positions() + np.array([20.0 * molecule, 0.0, 0.0])
        np.testing.assert_allclose(state.frame.positions, expected + shifts[state.step], atol=1e-6)


def _write_state(illness: Illness, step: int, shift: float) -> None:
    """Write a state whose positions are moved by a length, Å."""
    system = System()
    for mass in illness.molecular.masses:
        system.addParticle(mass)
    platform = Platform.getPlatformByName("Reference")
    context = Context(system, VerletIntegrator(0.001), platform)
    context.setPositions((illness.molecular.positions + shift) * unit.angstrom)
    illness.folder.good_states.mkdir(exist_ok=True)
    text = XmlSerializer.serialize(context.getState(positions=True))
    illness.folder.good_state(step).write_text(text)


def test_an_alarm_without_frames_has_none(poor: Poor, tmp_path: Path) -> None:
    illness = _illness(tmp_path, "")
    (tmp_path / "alarm-8.xyz").unlink()
    assert alarm_moments(illness, poor.artefact) == ([], [])


def test_atoms_too_close_and_known_frames_are_left_out(poor: Poor) -> None:
    gram = load_gram(poor.checkpoint / "gram.safetensors")
    known = opls_frames(12, 0.02, 0)
    torn = Frame(ATOMIC_NUMBERS, np.full((9, 3), np.nan))
    close = ethanol_positions()
    close[8] = close[0] + [0.3, 0.0, 0.0]
    frames = [known[0], known[11], torn, Frame(ATOMIC_NUMBERS, close), _stretched(0.1)]
    given = [Moment(step, frame) for step, frame in enumerate(frames)]
    kept, reasons = usable([*given, given[-1]], gram, 0.5)
    assert kept == [given[-1]]
    assert reasons == [
        *["a frame that is known already"] * 2,
        "positions that are not finite",
        "atoms 0.30 Å from each other",
        "a frame that is known already",
    ]
    assert len(usable(given, gram, 0.0)[0]) == 2


def test_the_first_frames_are_far_from_each_other() -> None:
    lengths = (0.0, 0.01, 0.5, 0.02, 0.51, 0.03, 0.52)
    moments = [Moment(step, _stretched(length)) for step, length in enumerate(lengths)]
    order = [lengths[moment.step] for moment in spread_out(moments)]
    assert order[0] == 0.52
    assert order[1] == 0.0
    assert sorted(order) == [0.0, 0.01, 0.02, 0.03, 0.5, 0.51, 0.52]
    assert spread_out([]) == []


def test_two_kinds_take_turns() -> None:
    first, second = (
        [Moment(step, _stretched(0.0)) for step in steps] for steps in ((1, 2, 3), (8,))
    )
    assert [moment.step for moment in in_turn(first, second)] == [1, 8, 2, 3]
    assert [moment.step for moment in in_turn([], second)] == [8]


def test_a_gas_is_known_by_its_first_molecules() -> None:
    assert [frame.n_atoms for frame in system_frames(_gas(4), 3)] == [9, 9, 9]
    whole = MolecularSystem(ethanol_topology(2), _gas(2).positions, 50.0 * np.eye(3), False)
    (frame,) = system_frames(whole, 3)
    assert (frame.n_atoms, frame.is_periodic) == (18, True)
