"""Suspect units other than eV and Å, from five kinds of evidence.

Lengths against covalent radii; total energies against what atoms are known to have and against
the E0s; the size of forces; forces along bonds to hydrogen (`bond_checks`); energy differences of
consecutive frames against the work of the forces between them.
"""

import itertools

import numpy as np
from ase.data import covalent_radii

from fisher_mlip.data.bond_checks import check_bond_forces
from fisher_mlip.data.distances import neighbor_pairs
from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.units import EV_PER_HARTREE, KCAL_PER_MOL_PER_EV, KJ_PER_MOL_PER_EV

_BOHR_PER_ANGSTROM = 1.8897261246
# The number that 1 eV (or 1 eV/Å, or 1 Å) is in another unit.
_ENERGIES = {
    "Hartree": 1.0 / EV_PER_HARTREE,
    "kcal/mol": KCAL_PER_MOL_PER_EV,
    "kJ/mol": KJ_PER_MOL_PER_EV,
}
# What 1 eV becomes where another unit is taken for kcal/mol, that of an .npz.
_MISTAKEN = {
    "eV": 1.0 / KCAL_PER_MOL_PER_EV,
    "kJ/mol": KJ_PER_MOL_PER_EV / KCAL_PER_MOL_PER_EV,
}
_LENGTHS = {"Bohr": _BOHR_PER_ANGSTROM, "nm": 0.1}
_FORCES = {
    "Hartree/Bohr": 1.0 / (EV_PER_HARTREE * _BOHR_PER_ANGSTROM),
    "kcal/mol/Å": KCAL_PER_MOL_PER_EV,
    "kJ/mol/Å": KJ_PER_MOL_PER_EV,
    "kJ/mol/nm": 10.0 * KJ_PER_MOL_PER_EV,
}

# Hartree-Fock energies of the atoms H to Ar, Hartree: E. Clementi, C. Roetti, At. Data Nucl. Data
# Tables 14, 177 (1974). All-electron methods agree with their sums within a few percent.
_ATOMS_HARTREE = (
    *(0.0, -0.5, -2.862, -7.433, -14.573, -24.529, -37.689, -54.401, -74.809, -99.409),
    *(-128.547, -161.859, -199.615, -241.877, -288.854, -340.719, -397.505, -459.482, -526.818),
)
_NOBLE = (2, 10, 18, 36, 54, 86)

# Frames looked at; a wrong unit shows in all of them.
_SAMPLE = 50
# eV per atom: the strongest binding per atom (in N2, CO, carbides) is a third of it.
_LARGEST_BINDING = 30.0
# eV/Å: molecules at 500 K have 1, at 10,000 K 5.
_LARGEST_TYPICAL_FORCE = 15.0
# Å: a step of a trajectory within which the trapezoidal rule holds.
_LARGEST_STEP = 0.15
_FEWEST_STEPS = 3


def check_units(frames: Frames) -> None:
    """Check that lengths are in Å, energies in eV and forces in eV/Å, as far as that shows.

    Args:
        frames: finite; energies and forces are looked at where there are any.

    Raises:
        InputError: another unit is suspected; the message says which and on what evidence.
    """
    sample = _sample(frames)
    check_lengths(frames)
    with_energy = [frame for frame in sample if frame.energy is not None]
    _check_total_energies(with_energy, frames.source)
    _check_binding(with_energy, frames)
    with_forces = [frame for frame in sample if frame.forces is not None]
    _check_force_sizes(with_forces, frames.source)
    _check_work(frames)
    check_bond_forces(with_forces, frames.source, _FORCES | {"Hartree/Å": _ENERGIES["Hartree"]})


def _sample(frames: Frames) -> list[Frame]:
    return [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, _SAMPLE).astype(int))]


def check_lengths(frames: Frames) -> None:
    """Check that lengths are in Å, as far as that shows.

    Args:
        frames: finite, at least one.

    Raises:
        InputError: nearest neighbors are as far apart as they would be in another unit.
    """
    ratios = np.concatenate([_bond_ratios(frame) for frame in _sample(frames)])
    if not len(ratios):
        return
    median = float(np.median(ratios))
    for unit, factor in _LENGTHS.items():
        if 0.85 < median / factor < 1.15:
            raise InputError(
                f"positions in '{frames.source}' look like {unit}, expected Å: nearest neighbors "
                f"are at {median:.2f} of the sum of their covalent radii (median), which would be "
                f"{median / factor:.2f} in {unit}"
            )


def _bond_ratios(frame: Frame) -> FloatArray:
    first, second, distances = neighbor_pairs(frame, 6.0)
    radii = covalent_radii[frame.atomic_numbers]
    bonding = ~np.isin(frame.atomic_numbers, _NOBLE)
    kept = bonding[first] & bonding[second]
    ratios = np.full(frame.n_atoms, np.inf)
    pair_radii = radii[first[kept]] + radii[second[kept]]
    np.minimum.at(ratios, first[kept], distances[kept] / pair_radii)
    return np.asarray(ratios[np.isfinite(ratios)])


def _check_total_energies(sample: list[Frame], source: str) -> None:
    known = [f for f in sample if f.atomic_numbers.max() < len(_ATOMS_HARTREE) and f.n_atoms > 1]
    if not known:
        return
    atoms = np.array([np.take(_ATOMS_HARTREE, f.atomic_numbers).sum() for f in known])
    energies = np.array([f.energy for f in known])
    ratio = float(np.median(energies / (atoms * EV_PER_HARTREE)))
    for unit, factor in _ENERGIES.items():
        if abs(ratio / factor - 1.0) < 0.05:
            raise InputError(
                f"energies in '{source}' look like {unit}, expected eV: the total energy is "
                f"{energies[0]:.6g}, and atoms like these have "
                f"{atoms[0] * EV_PER_HARTREE * factor:.6g} {unit} or "
                f"{atoms[0] * EV_PER_HARTREE:.6g} eV (all electrons)"
            )
    for unit, factor in _MISTAKEN.items():
        if abs(ratio / factor - 1.0) < 0.05:
            raise InputError(
                f"energies in '{source}' look like {unit} that were taken for kcal/mol: read "
                f"so the total energy is {energies[0]:.6g} eV, and atoms like these have "
                f"{atoms[0] * EV_PER_HARTREE:.6g} eV (all electrons); for an .npz say --npz-unit"
            )


def _check_binding(sample: list[Frame], frames: Frames) -> None:
    given = frames.reference_energies
    known = [f for f in sample if all(int(z) in given for z in f.atomic_numbers)]
    if not known:
        return
    isolated = np.array([sum(given[int(z)] for z in f.atomic_numbers) for f in known])
    energies = np.array([f.energy for f in known])
    binding = float(np.median((energies - isolated) / [f.n_atoms for f in known]))
    if abs(binding) < _LARGEST_BINDING:
        return
    message = (
        f"energies in '{frames.source}' do not belong to their E0s: they differ from the isolated "
        f"atoms' by {binding:.4g} eV per atom, expected at most {_LARGEST_BINDING:g}"
    )
    for unit, factor in _ENERGIES.items():
        ratio = float(np.median(energies)) / (float(np.median(isolated)) or np.inf)
        for what, expected in (("energies", factor), ("E0s", 1.0 / factor)):
            if abs(ratio / expected - 1.0) < 0.05:
                message += f"; {what} in {unit} are suspected, energy/E0 is {ratio:.4g}"
    raise InputError(message)


def _check_force_sizes(sample: list[Frame], source: str) -> None:
    sizes = [np.sqrt(np.mean(f.forces**2)) for f in sample if f.forces is not None]
    if not sizes:
        return
    median = float(np.median(sizes))
    if median < _LARGEST_TYPICAL_FORCE:
        return
    guesses = ", ".join(
        f"{median / factor:.2g} from {unit}" for unit, factor in _FORCES.items() if factor > 1
    )
    raise InputError(
        f"forces in '{source}' are not in eV/Å: their root mean square is {median:.3g} in half of "
        f"the frames, expected below {_LARGEST_TYPICAL_FORCE:g}; converted it would be {guesses}"
    )


def _check_work(frames: Frames) -> None:
    changes, works = _changes_and_works(frames)
    if len(changes) < _FEWEST_STEPS:
        return
    squared = float(works @ works)
    slope = float(changes @ works) / squared if squared else 1.0
    if 1 / 3 < slope < 3:
        return
    message = (
        f"forces and energies in '{frames.source}' contradict each other: over {len(changes)} "
        f"small steps between consecutive frames the energy changes by {slope:.3g} times the work "
        "of the forces, expected 1"
    )
    for unit, factor in _FORCES.items():
        if abs(slope * factor - 1.0) < 0.25:
            raise InputError(f"{message}; forces in {unit} are suspected, expected eV/Å")
    for unit, factor in _ENERGIES.items():
        if abs(slope / factor - 1.0) < 0.25:
            raise InputError(f"{message}; energies in {unit} are suspected, expected eV")
    if abs(slope + 1.0) < 0.25:
        raise InputError(f"{message}; gradients in place of forces (the other sign) are suspected")
    raise InputError(message)


def _changes_and_works(frames: Frames) -> tuple[FloatArray, FloatArray]:
    changes, works = [], []
    for before, after in itertools.pairwise(frames):
        if not np.array_equal(before.atomic_numbers, after.atomic_numbers):
            continue
        step = after.positions - before.positions
        moved = float(np.abs(step).max())
        if not 0.0 < moved < _LARGEST_STEP or not np.array_equal(before.cell, after.cell):
            continue
        if before.forces is None or after.forces is None:
            continue
        if before.energy is None or after.energy is None:
            continue
        changes.append(after.energy - before.energy)
        works.append(-0.5 * float(np.sum((before.forces + after.forces) * step)))
    return np.array(changes), np.array(works)
