"""Bonds of equal molecules share a type, and a type has one reference length."""

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers as number_of_symbol
from ase.geometry import find_mic

from fisher_mlip.analysis.run import Reference
from fisher_mlip.data.frames import FloatArray, Frame, Frames, IntArray
from fisher_mlip.errors import InputError

_Kind = tuple[tuple[str, ...], tuple[tuple[int, int], ...]]


@dataclass(frozen=True, eq=False)
class BondTypes:
    """Bonds grouped over molecules of the same composition, order and bonds.

    Attributes:
        bonds: (n_bonds, 2), atom indices.
        molecule_of_bond: (n_bonds,).
        type_of_bond: (n_bonds,), index into the following.
        names: per type, its elements, e.g. `C-H`.
        local_bonds: per type, the two atoms counted within the molecule.
        molecule_symbols: per type, the elements of its molecule in order.
    """

    bonds: IntArray
    molecule_of_bond: IntArray
    type_of_bond: IntArray
    names: tuple[str, ...]
    local_bonds: tuple[tuple[int, int], ...]
    molecule_symbols: tuple[tuple[str, ...], ...]


def bond_types(reference: Reference) -> BondTypes:
    """Group the bonds of a system.

    Raises:
        InputError: a bond joins two molecules.
    """
    bonds, molecule_index = reference.bonds, reference.molecule_index
    molecule = molecule_index[bonds[:, 0]]
    crossing = np.flatnonzero(molecule != molecule_index[bonds[:, 1]])
    if len(crossing):
        i, j = bonds[crossing[0]]
        raise InputError(f"expected bonds within molecules, found one from atom {i} to atom {j}")
    local, symbols = _local_indices(reference)
    local_bonds = [(int(local[i]), int(local[j])) for i, j in bonds]
    members: dict[int, list[tuple[int, int]]] = {}
    for index, pair in zip(molecule, local_bonds, strict=True):
        members.setdefault(int(index), []).append(pair)
    keys: dict[tuple[_Kind, tuple[int, int]], int] = {}
    types = np.empty(len(bonds), dtype=np.int64)
    kinds = {m: (symbols[m], tuple(sorted(pairs))) for m, pairs in members.items()}
    for bond, (index, pair) in enumerate(zip(molecule, local_bonds, strict=True)):
        types[bond] = keys.setdefault((kinds[int(index)], pair), len(keys))
    pairs = tuple(pair for _, pair in keys)
    owners = tuple(kind[0] for kind, _ in keys)
    names = tuple("-".join(sorted((o[i], o[j]))) for o, (i, j) in zip(owners, pairs, strict=True))
    return BondTypes(bonds, molecule, types, names, pairs, owners)


def lengths_in_frames(types: BondTypes, reference: Reference, frames: Frames) -> FloatArray:
    """Return the mean length of each bond type over reference frames, (n_types,), Å.

    Args:
        types: of the run.
        reference: of the run.
        frames: of single molecules in the run's atom order, or of the whole system.

    Raises:
        InputError: no frame has the atoms of a bond's molecule, in its order.
    """
    whole = tuple(reference.symbols)
    means = np.empty(len(types.names))
    for kind, symbols in enumerate(types.molecule_symbols):
        local = np.array([types.local_bonds[kind]])
        lengths = [_lengths(frame, local) for frame in _frames_of(symbols, frames)]
        if not lengths:
            every = types.bonds[types.type_of_bond == kind]
            lengths = [_lengths(frame, every) for frame in _frames_of(whole, frames)]
        if not lengths:
            raise InputError(
                f"expected a frame with the atoms {' '.join(symbols)} in '{frames.source}', "
                f"found none among {len(frames)}"
            )
        means[kind] = np.concatenate(lengths).mean()
    return means


def _local_indices(reference: Reference) -> tuple[IntArray, dict[int, tuple[str, ...]]]:
    local = np.empty(reference.n_atoms, dtype=np.int64)
    symbols: dict[int, list[str]] = {}
    for atom, molecule in enumerate(reference.molecule_index):
        own = symbols.setdefault(int(molecule), [])
        local[atom] = len(own)
        own.append(reference.symbols[atom])
    return local, {molecule: tuple(own) for molecule, own in symbols.items()}


def _frames_of(symbols: tuple[str, ...], frames: Frames) -> list[Frame]:
    numbers = np.array([number_of_symbol[symbol] for symbol in symbols])
    return [frame for frame in frames if np.array_equal(frame.atomic_numbers, numbers)]


def _lengths(frame: Frame, bonds: IntArray) -> FloatArray:
    vectors = frame.positions[bonds[:, 1]] - frame.positions[bonds[:, 0]]
    if not frame.is_periodic:
        return np.asarray(np.linalg.norm(vectors, axis=1))
    _, lengths = find_mic(vectors, frame.cell, frame.pbc)  # type: ignore[no-untyped-call]
    return np.asarray(lengths)
