"""Frames as graphs: neighbor lists by vesin, and several frames as one disconnected graph."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from vesin import NeighborList

from fisher_mlip.data.frames import Frame, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.model.neighbors import LARGEST_POSITION, face_distances, open_pairs, thins_out


@dataclass(frozen=True, eq=False)
class Graph:
    """Atoms and directed edges of one or more frames.

    Attributes:
        species: (n_atoms,), index in the model's list of elements.
        positions: (n_atoms, 3), Å, float64.
        receivers: (n_edges,), the atom that the edge belongs to.
        senders: (n_edges,), its neighbor.
        cell_shifts: (n_edges, 3), whole cells between the two, float64.
        cells: (n_frames, 3, 3), Å, float64, rows are vectors.
        frame_index: (n_atoms,), the frame of each atom.
    """

    species: Tensor
    positions: Tensor
    receivers: Tensor
    senders: Tensor
    cell_shifts: Tensor
    cells: Tensor
    frame_index: Tensor

    @property
    def n_frames(self) -> int:
        return len(self.cells)

    @property
    def n_atoms(self) -> int:
        return len(self.species)

    def to(self, device: torch.device | str) -> "Graph":
        """Return the graph with every tensor on `device`."""
        return Graph(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def edge_vectors(self, positions: Tensor, cells: Tensor) -> Tensor:
        """Return x_sender + S cell - x_receiver, (n_edges, 3), Å."""
        shifts = torch.einsum(
            "es,esk->ek", self.cell_shifts, cells[self.frame_index[self.receivers]]
        )
        return positions[self.senders] - positions[self.receivers] + shifts

    def atoms_per_frame(self) -> Tensor:
        """Return (n_frames,), the number of atoms of each frame."""
        return torch.bincount(self.frame_index, minlength=self.n_frames)


def species_of(atomic_numbers: IntArray, elements: Sequence[int]) -> IntArray:
    """Return each atom's index in `elements`.

    Raises:
        InputError: an element that the model has not seen.
    """
    known = np.asarray(sorted(elements))
    unknown = sorted(set(np.unique(atomic_numbers).tolist()) - set(known.tolist()))
    if unknown:
        raise InputError(
            f"the model knows the elements {symbols(elements)}, found also {symbols(unknown)}"
        )
    return np.searchsorted(known, atomic_numbers).astype(np.int64)


def symbols(atomic_numbers: Sequence[int]) -> str:
    """Return chemical symbols, comma-separated."""
    from ase.data import chemical_symbols

    return ", ".join(chemical_symbols[int(z)] for z in atomic_numbers)


def build_graph(frame: Frame, elements: Sequence[int], cutoff: float) -> Graph:
    """Return the graph of all pairs of a frame within `cutoff` (Å), both directions.

    Raises:
        InputError: an unknown element, periodic boundaries without a cell, or positions that are
            not finite or beyond 1e6 Å, or a cell that is a sheet too thin and wide for the list.
    """
    if not (np.abs(frame.positions) < LARGEST_POSITION).all():
        raise InputError(
            f"expected positions within {LARGEST_POSITION:g} Å of the origin, found "
            f"{np.abs(frame.positions).max():g} Å"
        )
    if frame.is_periodic and abs(np.linalg.det(frame.cell)) < 1e-6:
        raise InputError(f"expected a cell with a volume, found {frame.cell.tolist()} (Å)")
    i, j, shifts = _pairs(frame, cutoff)
    return Graph(
        species=torch.from_numpy(species_of(frame.atomic_numbers, elements)),
        positions=torch.tensor(frame.positions, dtype=torch.float64),
        receivers=torch.from_numpy(np.asarray(i, dtype=np.int64)),
        senders=torch.from_numpy(np.asarray(j, dtype=np.int64)),
        cell_shifts=torch.from_numpy(np.asarray(shifts, dtype=np.float64)),
        cells=torch.tensor(frame.cell, dtype=torch.float64)[None],
        frame_index=torch.zeros(frame.n_atoms, dtype=torch.long),
    )


def _pairs(frame: Frame, cutoff: float) -> tuple[IntArray, IntArray, IntArray]:
    """Return receivers, senders and shifts of all pairs within the cutoff."""
    positions = torch.tensor(frame.positions, dtype=torch.float64)
    extents = positions.amax(dim=0) - positions.amin(dim=0)
    if frame.is_periodic:
        faces = face_distances(torch.tensor(frame.cell, dtype=torch.float64))
        extents = torch.where(torch.tensor(frame.pbc.tolist()), faces, extents)
    if thins_out(extents, cutoff):
        if frame.is_periodic:
            raise InputError(
                "expected a cell that is not a thin sheet of 1e5 cutoffs or more, found one of "
                f"{' x '.join(f'{extent:.4g}' for extent in extents.tolist())} Å"
            )
        receivers, senders = open_pairs(positions, cutoff)
        return receivers.numpy(), senders.numpy(), np.zeros((len(senders), 3), dtype=np.int64)
    found = NeighborList(cutoff=cutoff, full_list=True).compute(
        points=np.ascontiguousarray(frame.positions, dtype=np.float64),
        box=np.ascontiguousarray(frame.cell, dtype=np.float64),
        periodic=frame.pbc.tolist() if frame.is_periodic else False,
        quantities="ijS",
    )
    receivers, senders, shifts = found
    return receivers, senders, shifts


def join_graphs(graphs: Sequence[Graph]) -> Graph:
    """Return several graphs as one; no edge joins two of them."""
    atoms = np.cumsum([0] + [graph.n_atoms for graph in graphs])
    frames = np.cumsum([0] + [graph.n_frames for graph in graphs])
    return Graph(
        species=torch.cat([g.species for g in graphs]),
        positions=torch.cat([g.positions for g in graphs]),
        receivers=torch.cat([g.receivers + a for g, a in zip(graphs, atoms[:-1], strict=True)]),
        senders=torch.cat([g.senders + a for g, a in zip(graphs, atoms[:-1], strict=True)]),
        cell_shifts=torch.cat([g.cell_shifts for g in graphs]),
        cells=torch.cat([g.cells for g in graphs]),
        frame_index=torch.cat(
            [g.frame_index + f for g, f in zip(graphs, frames[:-1], strict=True)]
        ),
    )


def graph_of_frames(frames: Iterable[Frame], elements: Sequence[int], cutoff: float) -> Graph:
    """Return the joined graph of several frames."""
    return join_graphs([build_graph(frame, elements, cutoff) for frame in frames])
