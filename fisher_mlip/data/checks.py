"""What frames must be before a model may learn from them."""

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

import numpy as np
from ase.data import chemical_symbols

from fisher_mlip.data.distances import neighbor_pairs
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.data.unit_checks import check_lengths, check_units
from fisher_mlip.errors import InputError

Label = Literal["energy", "forces", "stress"]
_UNITS: dict[Label, str] = {"energy": "eV", "forces": "eV/Å", "stress": "eV/Å^3"}

# Å: half of the shortest bond there is (H2, 0.74) would already cost tens of eV.
_ATOMS_OVERLAP = 0.3
# eV/Å: no bond resists as much; a proton at 0.3 Å from carbon is pushed by some hundred.
_LARGEST_FORCE = 1000.0


def check_trainable(
    frames: Frames,
    *,
    trust_units: bool = False,
    labels: Collection[Label] = ("energy", "forces"),
) -> None:
    """Check that every frame has what training needs and that units look like eV and Å.

    Args:
        frames: to learn from.
        labels: that every frame must have.
        trust_units: leave out the checks of units, which look at orders of magnitude.

    Raises:
        InputError: no frames; an energy or forces missing; a shape that does not fit; a NaN or
            infinity; a periodic frame without volume; units other than eV and Å suspected; atoms
            on top of each other; forces beyond 1000 eV/Å.
    """
    if not frames.frames:
        raise InputError(f"expected at least one frame in '{frames.source}', found none")
    for index, frame in enumerate(frames):
        name = f"frame {index} of '{frames.source}'"
        for label in labels:
            if getattr(frame, label) is None:
                raise InputError(
                    f"{name} has no {label}: expected '{label}' or 'REF_{label}' in {_UNITS[label]}"
                )
        _check_labels(frame, name)
    if not trust_units:
        check_units(frames)
    for index, frame in enumerate(frames):
        _check_magnitudes(frame, f"frame {index} of '{frames.source}'")


def check_structures(frames: Frames, *, trust_units: bool = False) -> None:
    """Check that every frame is one of atoms in Å, whatever its labels.

    Args:
        frames: to start from.
        trust_units: leave out the check of units, which looks at nearest neighbors.

    Raises:
        InputError: a shape that does not fit; a NaN or infinity; a periodic frame without volume;
            lengths that are not in Å; atoms on top of each other.
    """
    bare = tuple(frame.relabelled(energy=None, forces=None, stress=None) for frame in frames)
    names = [f"frame {index} of '{frames.source}'" for index in range(len(bare))]
    for frame, name in zip(bare, names, strict=True):
        _check_labels(frame, name)
    if bare and not trust_units:
        check_lengths(replace(frames, frames=bare))
    for frame, name in zip(bare, names, strict=True):
        _check_magnitudes(frame, name)


def check_numbers(frames: Frames) -> None:
    """Check that what frames hold is whole: finite numbers in arrays that fit each other.

    Raises:
        InputError: a shape that does not fit; a NaN or infinity.
    """
    for index, frame in enumerate(frames):
        _check_numbers(frame, f"frame {index} of '{frames.source}'")


def _check_labels(frame: Frame, name: str) -> None:
    if frame.n_atoms == 0:
        raise InputError(f"{name} has no atoms")
    if not ((frame.atomic_numbers > 0) & (frame.atomic_numbers < len(chemical_symbols))).all():
        raise InputError(f"{name} has atoms that are no chemical element: {frame.atomic_numbers}")
    _check_numbers(frame, name)
    missing = frame.pbc & (np.linalg.norm(frame.cell, axis=1) == 0.0)
    if missing.any() or (frame.pbc.all() and abs(np.linalg.det(frame.cell)) < 1e-6):
        raise InputError(f"{name} is periodic but its cell has no volume: {frame.cell.tolist()} Å")


def _check_numbers(frame: Frame, name: str) -> None:
    shapes = {"positions": frame.positions}
    if frame.forces is not None:
        shapes["forces"] = frame.forces
    for what, array in shapes.items():
        if array.shape != (frame.n_atoms, 3):
            raise InputError(
                f"expected {what} of shape ({frame.n_atoms}, 3) in {name}, found {array.shape}"
            )
    finite = shapes | {"cell": frame.cell}
    if frame.energy is not None:
        finite["energy"] = np.array(frame.energy)
    if frame.stress is not None:
        finite["stress"] = frame.stress
    for what, array in finite.items():
        if not np.isfinite(array).all():
            raise InputError(f"expected finite numbers as {what} of {name}, found NaN or infinity")


def _check_magnitudes(frame: Frame, name: str) -> None:
    first, second, distances = neighbor_pairs(frame, _ATOMS_OVERLAP)
    if len(distances):
        pair = int(distances.argmin())
        atoms = [
            f"{chemical_symbols[frame.atomic_numbers[i]]}{i}" for i in (first[pair], second[pair])
        ]
        raise InputError(
            f"{name} has {atoms[0]} and {atoms[1]} on top of each other, {distances[pair]:.3f} Å "
            f"apart: expected at least {_ATOMS_OVERLAP} Å"
        )
    if frame.forces is None:
        return
    largest = float(np.abs(frame.forces).max())
    if largest > _LARGEST_FORCE:
        raise InputError(
            f"{name} has a force of {largest:.4g}: expected eV/Å, where {_LARGEST_FORCE:g} is "
            "beyond any chemistry"
        )
