"""One crystal, described in several ways: coordinates, lists, lattice bases, supercells."""

from collections.abc import Sequence

import numpy as np

from fisher_mlip.certificate.engine import Potential
from fisher_mlip.certificate.lattice import another_basis, doubled, unwrapped, wrapped
from fisher_mlip.certificate.rows import Row
from fisher_mlip.certificate.symmetry import same_rows
from fisher_mlip.certificate.tolerances import Tolerances
from fisher_mlip.data.frames import Frame

PATH_STEPS = 8


def wrapping_rows(
    potential: Potential, frame: Frame, on: str, allowed: Tolerances, seed: int
) -> list[Row]:
    """Check atoms inside the cell against the same moved by whole cells."""
    inside = wrapped(frame)
    return same_rows(
        "wrapping",
        on,
        "moving atoms by whole cells",
        potential(unwrapped(inside, seed)),
        potential(inside),
        allowed.same,
    )


def basis_rows(potential: Potential, frame: Frame, on: str, allowed: Tolerances) -> list[Row]:
    """Check the cell against another basis of the same lattice."""
    return same_rows(
        "lattice basis",
        on,
        "another basis of the lattice",
        potential(another_basis(frame)),
        potential(frame),
        allowed.same,
    )


def supercell_rows(potential: Potential, frame: Frame, on: str, allowed: Tolerances) -> list[Row]:
    """Check a cell against two of it as one."""
    energy, forces = potential(frame)
    return same_rows(
        "supercell",
        on,
        "doubling the cell",
        potential(doubled(frame)),
        (2.0 * energy, np.tile(forces, (2, 1))),
        allowed.same,
    )


def skin_rows(
    kept: Potential, fresh: Potential, frame: Frame, on: str, allowed: Tolerances, seed: int
) -> list[Row]:
    """Check a list with a skin, kept along a path, against one made anew at each point of it.

    Args:
        kept: whose list has a skin.
        fresh: whose list has none.
        frame: where the path begins.
        on: its name.
        allowed: tolerances.
        seed: of the path.
    """
    worst: list[Row] = []
    for point in path(frame, seed):
        rows = same_rows("skin", on, "keeping a list", kept(point), fresh(point), allowed.same)
        worst = [_worse(pair) for pair in zip(worst, rows, strict=True)] if worst else rows
    return worst


def path(frame: Frame, seed: int) -> Sequence[Frame]:
    """Return frames along a random path, a periodic one's cell strained from its middle on.

    At last every atom takes another's place: no list of before is of use there.
    """
    generator = np.random.default_rng(seed)
    points = [frame]
    # Far enough that pairs enter the cutoff which the first list did not hold.
    for step in range(PATH_STEPS):
        moved = points[-1].positions + generator.normal(0.0, 0.08, frame.positions.shape)
        stretch = 1.01 if frame.is_periodic and step == PATH_STEPS // 2 else 1.0
        points.append(
            points[-1].relabelled(positions=moved * stretch, cell=points[-1].cell * stretch)
        )
    exchanged = np.roll(points[-1].positions, 1, axis=0)
    return [*points, points[-1].relabelled(positions=exchanged)]


def _worse(rows: tuple[Row, Row]) -> Row:
    """Return the row further above its tolerance; one without a number is the furthest."""
    first, second = rows
    if first.figure is None or second.figure is None:
        return first if first.figure is None else second
    return max(rows, key=lambda row: (row.figure or 0.0) / (row.tolerance or 1.0))
