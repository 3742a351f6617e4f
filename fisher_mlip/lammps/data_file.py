"""A system -> LAMMPS's data file: `units metal`, `atom_style molecular`, every digit of float64."""

import numpy as np

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.simulate.systems import MolecularSystem

# Å around atoms without a box; LAMMPS wants bounds for them too.
MARGIN = 10.0


def type_symbols(molecular: MolecularSystem) -> list[str]:
    """Return the elements of a system in the order of their LAMMPS types, alphabetically."""
    return sorted({atom.element.symbol for atom in molecular.topology.atoms()})


def data_text(molecular: MolecularSystem, velocities: FloatArray, title: str) -> str:
    """Return the content of a data file.

    Args:
        molecular: the atoms, in their box or without one.
        velocities: (n_atoms, 3), Å/ps.
        title: its first line.

    Raises:
        InputError: a cell that LAMMPS cannot take.
    """
    symbols = type_symbols(molecular)
    atoms = list(molecular.topology.atoms())
    types = [symbols.index(atom.element.symbol) + 1 for atom in atoms]
    mass_of = dict(zip(types, molecular.masses.tolist(), strict=True))
    lines = [
        " ".join(title.split()),
        "",
        f"{len(atoms)} atoms",
        f"{len(symbols)} atom types",
        *_bounds(molecular),
        "",
        "Masses",
        "",
        *(f"{kind} {mass_of[kind]!r} # {symbols[kind - 1]}" for kind in sorted(mass_of)),
        "",
        "Atoms # molecular",
        "",
    ]
    rows = zip(molecular.molecules, types, molecular.positions.tolist(), strict=True)
    for number, (molecule, kind, (x, y, z)) in enumerate(rows, start=1):
        lines.append(f"{number} {molecule + 1} {kind} {x!r} {y!r} {z!r}")
    lines += ["", "Velocities", ""]
    lines += [f"{k} {x!r} {y!r} {z!r}" for k, (x, y, z) in enumerate(velocities.tolist(), start=1)]
    return "\n".join([*lines, ""])


def _bounds(molecular: MolecularSystem) -> list[str]:
    """Return the lines of the box; one without boundaries is as large as its atoms need."""
    if molecular.cell is None:
        low, high = molecular.positions.min(axis=0), molecular.positions.max(axis=0)
        pairs = zip("xyz", (low - MARGIN).tolist(), (high + MARGIN).tolist(), strict=True)
        return [f"{first!r} {last!r} {axis}lo {axis}hi" for axis, first, last in pairs]
    cell = molecular.cell
    if not np.array_equal(cell, np.tril(cell)):
        raise InputError(
            f"expected a cell with a along x and b in the xy plane, found {cell.tolist()} Å"
        )
    lines = [f"0.0 {float(cell[k, k])!r} {axis}lo {axis}hi" for k, axis in enumerate("xyz")]
    tilts = [float(cell[1, 0]), float(cell[2, 0]), float(cell[2, 1])]
    if any(tilts):
        lines.append(" ".join(map(repr, tilts)) + " xy xz yz")
    return lines
