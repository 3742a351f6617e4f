"""Where scans start: a frame, or of a large one a molecule with those around it."""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import BoolArray, FloatArray, Frame, IntArray
from fisher_mlip.fisher.outside.connectivity import Connectivity

# Frames of no more atoms are taken whole.
SMALL = 60
# Å around the chosen molecule: whole molecules that come this near are kept.
SHELL = 4.0
# Bonds of a network without molecules that are looked at.
MAX_CORE = 12


@dataclass(frozen=True, eq=False)
class Start:
    """A configuration and the atoms whose bonds, angles and contacts are followed.

    Attributes:
        frame: without boundaries where it was cut out of a larger one.
        bonds: of the frame.
        is_core: (n_atoms,).
    """

    frame: Frame
    bonds: Connectivity
    is_core: BoolArray


def start_of(frame: Frame, rng: np.random.Generator) -> Start:
    """Return a frame as a start: whole, or a molecule chosen at random with its neighbors.

    What a scan changes is within a molecule and what touches it; the rest of a large box would
    cost its atoms at every point and tell nothing more.
    """
    bonds = Connectivity.of(frame)
    everything = np.ones(frame.n_atoms, dtype=bool)
    if frame.n_atoms <= SMALL:
        return Start(frame, bonds, everything)
    molecules = bonds.molecules()
    center = int(rng.integers(frame.n_atoms))
    inside = np.flatnonzero(molecules == molecules[center])
    if len(inside) > SMALL:
        core = np.zeros(frame.n_atoms, dtype=bool)
        core[rng.permutation(inside)[:MAX_CORE]] = True
        return Start(frame, bonds, core)
    return _cut_out(frame, bonds, molecules, center)


def _cut_out(frame: Frame, bonds: Connectivity, molecules: IntArray, center: int) -> Start:
    """Return the molecule of `center` and the molecules near it, made whole, without a cell."""
    inside = np.flatnonzero(molecules == molecules[center])
    middle = frame.positions[center] + bonds.vectors_from(center)[inside]
    atoms, positions = [inside], [middle]
    reach = SHELL + np.linalg.norm(middle - frame.positions[center], axis=1).max()
    from_center = frame.positions - frame.positions[center]
    from_center -= _whole_cells(frame, from_center)
    near = np.linalg.norm(from_center, axis=1) < reach
    for molecule in np.setdiff1d(molecules[near], molecules[center]):
        members = np.flatnonzero(molecules == molecule)
        whole = frame.positions[members[0]] + bonds.vectors_from(int(members[0]))[members]
        whole = whole + _whole_cells(frame, middle.mean(axis=0) - whole.mean(axis=0))
        apart = np.linalg.norm(whole[:, None] - middle[None], axis=2)
        if apart.min() < SHELL:
            atoms.append(members)
            positions.append(whole)
    chosen = np.concatenate(atoms)
    cut = Frame(frame.atomic_numbers[chosen], np.concatenate(positions))
    return Start(cut, Connectivity.of(cut), np.arange(len(chosen)) < len(inside))


def _whole_cells(frame: Frame, vectors: FloatArray) -> FloatArray:
    """Return the lattice vectors (..., 3), Å, that vectors come nearest to by their fractions."""
    if not frame.is_periodic:
        return np.zeros_like(vectors)
    whole = np.round(vectors @ np.linalg.pinv(frame.cell)) * frame.pbc
    cells: FloatArray = whole @ frame.cell
    return cells
