"""Pairs of atoms within reach: what vesin cannot serve, and the order that pairs come in.

Plain functions of tensors, which TorchScript takes as they are: its constants are arguments.
"""

import torch
from torch import Tensor

# Å. Further away than this, vesin's cell list ends the process, and float64 loses the picometer.
LARGEST_POSITION = 1e6


def thins_out(extents: Tensor, reach: float, most_cells: float = 1e5) -> bool:
    """Tell whether vesin's cell list would have no cell left along an axis.

    With more cells than `most_cells` vesin takes fewer of them, in the same proportions; where an
    axis is so short that none is left there, it divides by zero, which ends the process.

    Args:
        extents: (3,), Å, of the box or of the atoms along each axis.
        reach: Å.
        most_cells: vesin's own limit.
    """
    cells = torch.floor(extents / reach).clamp(min=1.0)
    shrinking = float(most_cells / cells.prod()) ** (1.0 / 3.0)
    # Two rather than one: what vesin rounds, and how, is its own.
    return shrinking < 1.0 and bool(cells.min() * shrinking < 2.0)


def open_pairs(positions: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Return all ordered pairs within reach of atoms without a box, however they are spread.

    A sorted list of occupied cells: empty space costs nothing.

    Args:
        positions: (n_atoms, 3), Å, finite, float64.
        reach: Å.

    Returns:
        receivers and senders, (n_pairs,) each.
    """
    # At least 1 Å keeps the number of a cell within int64; the margin is for rounding.
    size = max(reach, 1.0) * (1.0 + 1e-9)
    cells = torch.floor((positions - positions.min(dim=0)[0]) / size).to(torch.long) + 1
    counts = cells.max(dim=0)[0] + 2
    keys = (cells[:, 0] * counts[1] + cells[:, 1]) * counts[2] + cells[:, 2]
    ordered, order = torch.sort(keys)
    atoms = torch.arange(positions.shape[0], device=positions.device)
    receivers: list[Tensor] = []
    senders: list[Tensor] = []
    for x in range(-1, 2):
        for y in range(-1, 2):
            for z in range(-1, 2):
                wanted = keys + (x * counts[1] + y) * counts[2] + z
                first = torch.searchsorted(ordered, wanted)
                found = torch.searchsorted(ordered, wanted, right=True) - first
                i = torch.repeat_interleave(atoms, found)
                offset = first - (torch.cumsum(found, dim=0) - found)
                places = torch.arange(i.shape[0], device=i.device)
                j = order[places + torch.repeat_interleave(offset, found)]
                distance2 = (positions[j] - positions[i]).square().sum(dim=1)
                near = ((distance2 <= reach * reach) & (i != j)).nonzero()[:, 0]
                receivers.append(i[near])
                senders.append(j[near])
    return torch.cat(receivers), torch.cat(senders)


def canonical_order(receivers: Tensor, senders: Tensor, cell_shifts: Tensor) -> Tensor:
    """Return the order by receiver, then sender, then shift, (n_pairs,).

    Sums over neighbors then do not depend on when, and around which positions, a list was built.

    Args:
        receivers: (n_pairs,).
        senders: (n_pairs,).
        cell_shifts: (n_pairs, 3), whole numbers.
    """
    if receivers.shape[0] == 0:
        return receivers
    shifts = cell_shifts.to(torch.long)
    shifts = shifts - shifts.min(dim=0)[0]
    spans = shifts.max(dim=0)[0] + 1
    by_shift = torch.argsort((shifts[:, 0] * spans[1] + shifts[:, 1]) * spans[2] + shifts[:, 2])
    pairs = receivers[by_shift] * (senders.max() + 1) + senders[by_shift]
    return by_shift[torch.argsort(pairs, stable=True)]


def shift_vectors(cell_shifts: Tensor, box: Tensor) -> Tensor:
    """Return S box, (n_pairs, 3), Å, the same bits for a pair wherever it stands in the list."""
    first = cell_shifts[:, 0:1] * box[0]
    return first + cell_shifts[:, 1:2] * box[1] + cell_shifts[:, 2:3] * box[2]


def face_distances(box: Tensor) -> Tensor:
    """Return the distances between opposite faces of a box (3, 3), rows are vectors, (3,)."""
    normals = torch.stack(
        [
            torch.linalg.cross(box[1], box[2]),
            torch.linalg.cross(box[2], box[0]),
            torch.linalg.cross(box[0], box[1]),
        ]
    )
    distances: Tensor = torch.linalg.det(box).abs() / normals.square().sum(dim=1).sqrt()
    return distances
