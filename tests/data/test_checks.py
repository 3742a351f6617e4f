"""What training refuses, and with which sentence."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fisher_mlip.data import Frame, Frames
from fisher_mlip.data.checks import check_trainable
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions
from fisher_mlip.data.opls import OplsEthanol
from fisher_mlip.errors import InputError
from fisher_mlip.units import EV_PER_HARTREE, KCAL_PER_MOL_PER_EV, KJ_PER_MOL_PER_EV

BOHR = 0.529177210903  # Å
# All-electron energies of isolated atoms, as PBE has them, eV.
ALL_ELECTRON = {1: -13.57, 6: -1025.28, 8: -2035.57}


@pytest.fixture(scope="module")
def trajectory() -> Frames:
    """Ethanol vibrating by small steps, with total energies as an all-electron method has them."""
    reference = OplsEthanol(1)
    generator = np.random.default_rng(0)
    mode = generator.normal(0.0, 0.05, (9, 3))
    offset = sum(ALL_ELECTRON[int(z)] for z in ATOMIC_NUMBERS)
    frames = []
    for time in range(12):
        positions = ethanol_positions() + mode * np.sin(0.4 * time)
        energy, forces = reference.energy_and_forces(positions)
        frames.append(Frame(ATOMIC_NUMBERS, positions, energy=energy + offset, forces=forces))
    return Frames(tuple(frames), dict(ALL_ELECTRON), "vibration")


def scaled(
    frames: Frames, *, length: float = 1.0, energy: float = 1.0, force: float = 1.0
) -> Frames:
    return replace(
        frames,
        frames=tuple(
            replace(
                frame,
                positions=frame.positions * length,
                energy=(frame.energy or 0.0) * energy,
                forces=None if frame.forces is None else frame.forces * force,
            )
            for frame in frames
        ),
    )


def with_frame(frames: Frames, **changes: Any) -> Frames:
    return replace(frames, frames=(frames[0], replace(frames[1], **changes), *frames.frames[2:]))


def test_good_frames_pass(trajectory: Frames) -> None:
    check_trainable(trajectory)
    check_trainable(replace(trajectory, reference_energies={}))


@pytest.mark.real_data
def test_real_frames_pass(real_data: Any) -> None:
    from fisher_mlip.data import read_frames

    e0s = real_data / "isolated_atoms.xyz"
    check_trainable(read_frames(real_data / "train.xyz", reference_energies=e0s))


def _nan(frame: Frame) -> np.ndarray:
    return np.where(np.eye(9, 3, dtype=bool), np.nan, frame.positions)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: {"energy": None}, "frame 1 of 'vibration' has no energy"),
        (lambda f: {"forces": None}, "frame 1 of 'vibration' has no forces"),
        (lambda f: {"energy": np.inf}, "expected finite numbers as energy of frame 1"),
        (lambda f: {"forces": _nan(f)}, "expected finite numbers as forces of frame 1"),
        (lambda f: {"positions": _nan(f)}, "expected finite numbers as positions of frame 1"),
        (lambda f: {"stress": np.full((3, 3), np.nan)}, "expected finite numbers as stress"),
        (lambda f: {"forces": np.zeros((8, 3))}, r"forces of shape \(9, 3\) in frame 1"),
        (lambda f: {"pbc": np.ones(3, dtype=bool)}, "periodic but its cell has no volume"),
        (
            lambda f: {"positions": np.vstack([f.positions[:8], f.positions[7] + 0.1])},
            r"frame 1 of 'vibration' has H7 and H8 on top of each other, 0\.173 Å apart",
        ),
        (lambda f: {"forces": f.forces + 2000.0}, "frame 1 of 'vibration' has a force of 200"),
    ],
)
def test_one_bad_frame_is_refused(
    trajectory: Frames, change: Callable[[Frame], dict[str, Any]], sentence: str
) -> None:
    # The two frames beside a large force contradict it too: units are checked apart from this.
    with pytest.raises(InputError, match=sentence):
        check_trainable(with_frame(trajectory, **change(trajectory[1])), trust_units=True)


def test_no_frames_are_refused() -> None:
    with pytest.raises(InputError, match="expected at least one frame in 'nothing', found none"):
        check_trainable(Frames((), source="nothing"))


@pytest.mark.parametrize(
    ("factors", "sentence"),
    [
        ({"length": 1 / BOHR}, "look like Bohr, expected Å: nearest neighbors are at 1.9"),
        ({"length": 0.1}, "look like nm, expected Å"),
        ({"energy": 1 / EV_PER_HARTREE}, r"look like Hartree, expected eV: .* is -153\.\d+"),
        ({"energy": KCAL_PER_MOL_PER_EV}, "look like kcal/mol, expected eV"),
        ({"energy": KJ_PER_MOL_PER_EV}, "look like kJ/mol, expected eV"),
        ({"force": 1 / EV_PER_HARTREE * BOHR}, "51.4 times the work.*Hartree/Bohr are suspected"),
        ({"force": KCAL_PER_MOL_PER_EV}, r"kcal/mol/Å"),
        ({"force": KJ_PER_MOL_PER_EV}, r"kJ/mol/Å"),
        ({"force": -1.0}, "-1 times the work of the forces.*the other sign"),
        ({"force": 6.0}, "0.167 times the work of the forces, expected 1$"),
    ],
)
def test_other_units_are_suspected(
    trajectory: Frames, factors: dict[str, float], sentence: str
) -> None:
    wrong = scaled(trajectory, **factors)
    for frames in (wrong, replace(wrong, reference_energies={})):
        with pytest.raises(InputError, match=sentence):
            check_trainable(frames)


def test_shifted_energies_in_other_units_are_suspected_from_the_work(trajectory: Frames) -> None:
    first = trajectory[0].energy or 0.0
    shifted = tuple(
        replace(f, energy=((f.energy or 0.0) - first) * KCAL_PER_MOL_PER_EV) for f in trajectory
    )
    with pytest.raises(InputError, match=r"23\.1 times the work.*energies in kcal/mol"):
        check_trainable(Frames(shifted))


def test_reference_energies_of_another_unit_are_suspected(trajectory: Frames) -> None:
    hartree = {z: energy / EV_PER_HARTREE for z, energy in ALL_ELECTRON.items()}
    with pytest.raises(InputError, match=r"E0s in Hartree are suspected, energy/E0 is 27\.2"):
        check_trainable(replace(trajectory, reference_energies=hartree))


def test_reference_energies_of_another_method_are_refused(trajectory: Frames) -> None:
    with pytest.raises(InputError, match="do not belong to their E0s"):
        check_trainable(replace(trajectory, reference_energies={1: -0.1, 6: -150.0, 8: -430.0}))


def test_units_can_be_trusted(trajectory: Frames) -> None:
    check_trainable(scaled(trajectory, energy=1 / EV_PER_HARTREE), trust_units=True)


def test_noble_gases_are_no_positions_in_bohr() -> None:
    grid = np.indices((2, 2, 2)).reshape(3, -1).T * 3.8
    numbers = np.full(8, 18, dtype=np.int64)
    frame = Frame(numbers, grid, energy=-0.1, forces=np.zeros((8, 3)))
    check_trainable(Frames((frame,)))


@pytest.fixture(scope="module")
def scattered() -> Frames:
    """Frames of no trajectory: nothing can be told from steps between them."""
    reference = OplsEthanol(1)
    generator = np.random.default_rng(1)
    frames = []
    for _ in range(20):
        positions = ethanol_positions() + generator.normal(0.0, 0.03, (9, 3))
        positions += 30.0 * generator.random(3)
        energy, forces = reference.energy_and_forces(positions)
        frames.append(Frame(ATOMIC_NUMBERS, positions, energy=energy, forces=forces))
    return Frames(tuple(frames), {}, "scattered")


def test_scattered_frames_pass(scattered: Frames) -> None:
    check_trainable(scattered)


@pytest.mark.parametrize(
    ("factor", "sentence"),
    [
        (-1.0, "have the other sign: gradients are suspected"),
        (BOHR / EV_PER_HARTREE, "Hartree/Bohr"),
        (1.0 / EV_PER_HARTREE, "Hartree/Å"),
    ],
)
def test_forces_are_judged_by_bonds_to_hydrogen(
    scattered: Frames, factor: float, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        check_trainable(scaled(scattered, force=factor))


@pytest.mark.parametrize("unit", ["eV", "kJ/mol"])
def test_another_unit_taken_for_kcal_per_mol_is_suspected(trajectory: Frames, unit: str) -> None:
    factor = {"eV": 1.0, "kJ/mol": KJ_PER_MOL_PER_EV}[unit] / KCAL_PER_MOL_PER_EV
    mistaken = scaled(replace(trajectory, reference_energies={}), energy=factor, force=factor)
    with pytest.raises(InputError, match=f"look like {unit} that were taken for kcal/mol"):
        check_trainable(mistaken)


def test_only_the_labels_asked_for_are_required(trajectory: Frames) -> None:
    without = replace(trajectory, frames=tuple(f.relabelled(energy=None) for f in trajectory))
    check_trainable(without, labels=["forces"])
    with pytest.raises(InputError, match="no energy"):
        check_trainable(without)
    with pytest.raises(InputError, match="NaN"):
        check_trainable(with_frame(without, positions=_nan(without[1])), labels=["forces"])


def test_atoms_of_no_element_are_refused(trajectory: Frames) -> None:
    with pytest.raises(InputError, match="no chemical element"):
        check_trainable(with_frame(trajectory, atomic_numbers=np.zeros(9, dtype=np.int64)))
