"""Label frames with an ASE calculator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from fisher_mlip.data.ase_frames import atoms_of_frame
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.errors import InputError


@dataclass(frozen=True)
class Labeled:
    """What came of labeling.

    Attributes:
        frames: those labeled, with the calculator's own E0s where it can do isolated atoms.
        failures: what went wrong, by index of the frame in the input.
        without_reference: elements for which the calculator gave no isolated-atom energy.
    """

    frames: Frames
    failures: dict[int, str]
    without_reference: tuple[int, ...]


def label_frames(
    frames: Frames,
    calculator: Any,
    *,
    skip_failed: bool = False,
    isolated_atoms: bool = True,
    advance: Callable[[int], None] | None = None,
) -> Labeled:
    """Compute energy, forces and, for periodic frames, stress of every frame.

    Labels and E0s of the input are dropped: they belong to another method.

    Args:
        frames: positions to label.
        calculator: an ASE calculator; stress is left out where it has none.
        skip_failed: leave out frames on which the calculator fails.
        isolated_atoms: label an atom of each element too, for E0s.
        advance: called with 1 after each frame.

    Raises:
        InputError: the calculator fails on a frame and `skip_failed` is not set, or on all.
    """
    labeled: list[Frame] = []
    failures: dict[int, str] = {}
    for index, frame in enumerate(frames):
        try:
            labeled.append(_label(frame, calculator))
        # Every engine fails in its own way.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            if not skip_failed:
                raise InputError(
                    f"the calculator failed on frame {index} of '{frames.source}': {reason} "
                    "(--skip-failed leaves such frames out)"
                ) from error
            failures[index] = reason
        if advance is not None:
            advance(1)
    if not labeled:
        raise InputError(f"the calculator failed on all frames of '{frames.source}': {reason}")
    if not isolated_atoms:
        return Labeled(Frames(tuple(labeled), {}, frames.source), failures, ())
    energies = _isolated_atoms(frames.elements, calculator)
    missing = tuple(z for z in frames.elements if z not in energies)
    # Some E0s without the others would be refused later; none means a composition fit.
    kept = {} if missing else energies
    return Labeled(Frames(tuple(labeled), kept, frames.source), failures, missing)


def _label(frame: Frame, calculator: Any) -> Frame:
    atoms = atoms_of_frame(frame)
    atoms.calc = calculator
    energy = _force_consistent_energy(atoms)
    forces = np.array(atoms.get_forces(), dtype=np.float64)
    if not np.isfinite(energy) or not np.isfinite(forces).all():
        raise InputError("it returned NaN or infinity")
    return frame.relabelled(energy=energy, forces=forces, stress=_stress(frame, atoms))


def _force_consistent_energy(atoms: Any) -> float:
    # With smeared occupations forces are the gradient of the free energy, not of the energy.
    energy = atoms.get_potential_energy()
    return float(getattr(atoms.calc, "results", {}).get("free_energy", energy))


def _stress(frame: Frame, atoms: Any) -> Any:
    if not frame.pbc.all():
        return None
    try:
        return np.array(atoms.get_stress(voigt=False), dtype=np.float64)
    except (PropertyNotImplementedError, NotImplementedError):
        return None


def _isolated_atoms(elements: list[int], calculator: Any) -> dict[int, float]:
    energies = {}
    for number in elements:
        atoms: Any = Atoms(numbers=[number])
        atoms.calc = calculator
        try:
            energy = _force_consistent_energy(atoms)
        # A calculator that cannot do atoms has no E0s to give; the caller says so.
        except Exception:
            continue
        if np.isfinite(energy):
            energies[number] = energy
    return energies
