"""Suspect forces of the other sign or in another unit, from what bonds to hydrogen do.

Where such a bond is longer than its mean, forces pull its atoms together, with a stiffness that
chemistry hardly changes. Unlike the work between consecutive frames this needs no trajectory.
"""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from ase.data import covalent_radii

from fisher_mlip.data.bonds import BOND_REACH
from fisher_mlip.data.distances import neighbor_pairs
from fisher_mlip.data.frames import FloatArray, Frame, IntArray
from fisher_mlip.errors import InputError

_HYDROGEN = 1
# Partners of the stiffness below: B C N O F, Si P S Cl.
_PARTNERS = (5, 6, 7, 8, 9, 14, 15, 16, 17)
# eV/Å^2: Si-H has 17, F-H 60; thermal averages and neighbors change that by less than half.
_STIFFNESS = (4.0, 200.0)
# Å: without as much spread (optimized or constrained bonds) there is nothing to see.
_SMALLEST_SPREAD = 0.005
_FEWEST_BONDS = 20
_CORRELATION = 0.6


def check_bond_forces(sample: list[Frame], source: str, units: dict[str, float]) -> None:
    """Check sign and size of the forces along bonds to hydrogen, where there are enough.

    Args:
        sample: frames with forces.
        source: how messages call them.
        units: the number that 1 eV/Å is, by the name of another unit.

    Raises:
        InputError: forces pull where they should push, or their stiffness is no bond's.
    """
    stretches, pulls = _stretches_and_pulls(sample)
    if len(stretches) < _FEWEST_BONDS or stretches.std() < _SMALLEST_SPREAD or not pulls.std():
        return
    if abs(np.corrcoef(stretches, pulls)[0, 1]) < _CORRELATION:
        return
    stiffness = -float(stretches @ pulls) / float(stretches @ stretches)
    lowest, highest = _STIFFNESS
    if lowest < stiffness < highest:
        return
    found = (
        f"{len(stretches)} bonds to hydrogen have a stiffness of {stiffness:.3g} eV/Å^2, expected "
        f"{lowest:g} to {highest:g}"
    )
    if lowest < -stiffness < highest:
        raise InputError(
            f"forces in '{source}' have the other sign: gradients are suspected; {found}"
        )
    guesses = [u for u, factor in units.items() if lowest < abs(stiffness) / factor < highest]
    suspected = f"; {' or '.join(guesses)} are suspected" if guesses else ""
    raise InputError(f"forces in '{source}' are not in eV/Å{suspected}; {found}")


def _stretches_and_pulls(sample: list[Frame]) -> tuple[FloatArray, FloatArray]:
    """Return each bond's length (Å) and outward force on its hydrogen (eV/Å).

    Both less the mean over bonds to the same element.
    """
    lengths: dict[int, list[FloatArray]] = defaultdict(list)
    forces: dict[int, list[FloatArray]] = defaultdict(list)
    for frame in sample:
        partner, distances, outward = _bonds(frame)
        for number in np.unique(frame.atomic_numbers[partner]):
            of_kind = frame.atomic_numbers[partner] == number
            lengths[int(number)].append(distances[of_kind])
            forces[int(number)].append(outward[of_kind])
    if not lengths:
        return np.zeros(0), np.zeros(0)
    return _less_mean(lengths), _less_mean(forces)


def _less_mean(kinds: Mapping[int, list[FloatArray]]) -> FloatArray:
    joined = [np.concatenate(values) for values in kinds.values()]
    return np.concatenate([values - values.mean() for values in joined])


def _bonds(frame: Frame) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return partners of hydrogens, lengths (Å) and the outward force on each hydrogen (eV/Å)."""
    assert frame.forces is not None
    radii, numbers = covalent_radii, frame.atomic_numbers
    reach = BOND_REACH * float(radii[_HYDROGEN] + radii[list(_PARTNERS)].max())
    first, second, distances = neighbor_pairs(frame, reach)
    bonded = (numbers[first] == _HYDROGEN) & np.isin(numbers[second], _PARTNERS)
    bonded &= distances < BOND_REACH * (radii[numbers[first]] + radii[numbers[second]])
    vectors = frame.positions[first] - frame.positions[second]
    # Bonds across a periodic boundary are left out.
    bonded &= np.isclose(np.linalg.norm(vectors, axis=1), distances)
    first, second, distances = first[bonded], second[bonded], distances[bonded]
    outward = np.sum(frame.forces[first] * vectors[bonded], axis=1) / distances
    return second, distances, outward
