"""Through the cutoff and beyond it: jumps, isolated atoms, molecules far apart."""

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from fisher_mlip.certificate.engine import Potential
from fisher_mlip.certificate.probes import scattered
from fisher_mlip.certificate.rows import Row, judged, reported
from fisher_mlip.certificate.symmetry import same_rows
from fisher_mlip.certificate.tolerances import Tolerances
from fisher_mlip.data.frames import FloatArray, Frame

# Å: half the way of a crossing, and its finer step; the coarser is twice that.
HALF_WAY = 6e-3
STEP = 1e-3
MOST_PAIRS = 3


def crossing_rows(
    potential: Potential, frame: Frame, cutoff: float, allowed: Tolerances
) -> list[Row]:
    """Check that nothing jumps while atoms pass through each other's cutoff.

    The largest change over a step is the slope's share, which halves with the step, and a jump's,
    which does not: 2 D(h/2) - D(h) leaves the jump.

    Args:
        potential: under test.
        frame: open; its pairs alone, and the last atom leaving the others.
        cutoff: Å.
        allowed: tolerances.
    """
    far = 2.0 * cutoff + 5.0
    ways = [("pair", pair_at(frame, pair, far)) for pair in _pairs(frame)]
    ways.append(("atom leaving the cluster", leaving(frame)))
    rows = []
    for on in dict.fromkeys(name for name, _ in ways):
        jumps = np.array([jump(potential, way, cutoff) for name, way in ways if name == on])
        energy, force = jumps.max(axis=0)
        measured = "of {} across the cutoff, the step's own change taken off"
        rows += [
            judged("cutoff: energy", on, measured.format("energy"), energy, "eV", allowed.jump),
            judged("cutoff: forces", on, measured.format("forces"), force, "eV/Å", allowed.jump),
        ]
    return rows


def jump(potential: Potential, way: Callable[[float], Frame], cutoff: float) -> tuple[float, float]:
    """Return the jump of the energy (eV) and of the forces (eV/Å) within a way's reach.

    Args:
        potential: under test.
        way: distance in Å -> frame.
        cutoff: Å, in the middle of the way and between two points of it.
    """
    count = 2 * round(HALF_WAY / STEP)
    distances = cutoff + STEP * (np.arange(count + 1) - count // 2 + 0.25)
    results = [potential(way(float(distance))) for distance in distances]
    energies = np.array([energy for energy, _ in results])
    forces = np.array([forces for _, forces in results])
    return _extrapolated(energies), _extrapolated(forces)


def separation_rows(
    potential: Potential,
    atomic_energies: Callable[[Frame], FloatArray],
    frame: Frame,
    cutoff: float,
    allowed: Tolerances,
) -> list[Row]:
    """Check atoms alone, and two parts that are far apart, by the atoms of one frame.

    Two parts A and B: E(A and B far apart) + E(all alone) = E(A, B's atoms alone) + E(B, ...).
    """
    far = 2.0 * cutoff + 5.0
    alone = scattered(frame, [], far)
    energy, forces = potential(alone)
    own = atomic_energies(alone)
    first = list(range(frame.n_atoms // 2))
    second = list(range(frame.n_atoms // 2, frame.n_atoms))
    parts = [potential(scattered(frame, kept, far)) for kept in (first, second)]
    apart = frame.positions.copy()
    apart[second] += np.array([far + 2.0 * float(np.abs(frame.positions).max()), 1.0, -2.0])
    added = parts[0][0] + parts[1][0] - energy, parts[0][1] + parts[1][1] - forces
    found = potential(frame.relabelled(positions=apart))
    return [
        *_isolated_rows(energy, forces, own, allowed.same),
        *same_rows("additivity", "two parts", "taking them apart", found, added, allowed.same),
    ]


def _isolated_rows(energy: float, forces: FloatArray, own: FloatArray, same: float) -> list[Row]:
    """Return the rows of atoms that are all alone: forces, the sum, the atoms' own energies."""
    on, largest = "atoms alone", float(np.abs(own).max())
    return [
        judged(
            "isolated atoms: forces",
            on,
            "largest force on an atom without neighbors",
            float(np.abs(forces).max()),
            "eV/Å",
            same,
        ),
        judged(
            "isolated atoms: sum",
            on,
            "difference of the energy and the sum of atomic energies",
            abs(energy - float(own.sum())) / len(own),
            "eV/atom",
            same * max(1.0, largest),
        ),
        reported(
            "isolated atoms: energy",
            on,
            "largest energy of an atom alone, E - E0",
            largest,
            "eV",
            "what E0s do not say of single atoms: fitted E0s, or a model that never saw one; "
            "constant in dynamics",
        ),
    ]


def pair_at(frame: Frame, pair: tuple[int, int], far: float) -> Callable[[float], Frame]:
    """Return distance -> the frame's atoms scattered, but two of them that far apart."""
    first, second = pair
    alone = scattered(frame, [], far)

    def way(distance: float) -> Frame:
        positions = alone.positions.copy()
        direction = np.array([0.48, -0.6, 0.64])
        positions[second] = positions[first] + distance * direction
        return frame.relabelled(positions=positions)

    return way


def leaving(frame: Frame) -> Callable[[float], Frame]:
    """Return distance -> the frame with its last atom that far outside of its outermost one."""
    others = frame.positions[:-1] - frame.positions[:-1].mean(axis=0)
    outermost = int(np.argmax(np.linalg.norm(others, axis=1)))
    outward = others[outermost] / np.linalg.norm(others[outermost])

    def way(distance: float) -> Frame:
        positions = frame.positions.copy()
        positions[-1] = positions[outermost] + distance * outward
        return frame.relabelled(positions=positions)

    return way


def _pairs(frame: Frame) -> Iterator[tuple[int, int]]:
    """Yield pairs of atoms of a few kinds, each kind once."""
    seen: set[tuple[int, int]] = set()
    for first, second in combinations(range(frame.n_atoms), 2):
        low, high = sorted((int(frame.atomic_numbers[first]), int(frame.atomic_numbers[second])))
        if (low, high) not in seen and len(seen) < MOST_PAIRS:
            seen.add((low, high))
            yield first, second


def _extrapolated(series: FloatArray) -> float:
    """Return 2 D(h) - D(2h), D the largest change of (n_points, ...) over a step."""
    fine = float(np.abs(np.diff(series, axis=0)).max())
    coarse = np.concatenate([series[2::2] - series[:-2:2], series[3::2] - series[1:-2:2]])
    # np.maximum keeps a NaN where Python's max would drop it.
    return float(np.maximum(0.0, 2.0 * fine - np.abs(coarse).max()))
