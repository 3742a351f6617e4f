"""Pairs around some atoms -> shells: what their energies depend on, in the order the model takes.

The pair style makes the same in C++ (lammps_plugin/source/shells.cpp).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fisher_mlip.data.frames import FloatArray, Frame, IntArray
from fisher_mlip.model.graph import build_graph


@dataclass(frozen=True, eq=False)
class Shells:
    """Atoms and edges that the energies of some own atoms depend on.

    Shell 0 are the own atoms, shell h those that h edges and no fewer lead to. Edges come in the
    order of their receivers' shells.

    Attributes:
        owners: (n_atoms,), which atom of the caller's each one is.
        species: (n_atoms,), index in the model's list of elements.
        edge_vectors: (n_edges, 3), Å, from receiver to sender.
        senders: (n_edges,).
        receivers: (n_edges,).
        atoms_within: (n_layers + 1,), the number of atoms up to each shell.
        edges_within: (n_layers,), the number of edges whose receivers are up to each shell.
    """

    owners: IntArray
    species: IntArray
    edge_vectors: FloatArray
    senders: IntArray
    receivers: IntArray
    atoms_within: list[int]
    edges_within: list[int]


def make_shells(
    species: IntArray,
    edge_vectors: FloatArray,
    senders: IntArray,
    receivers: IntArray,
    *,
    n_own: int,
    n_layers: int,
) -> Shells:
    """Return the shells around the first atoms.

    Args:
        species: (n_atoms,), own atoms first.
        edge_vectors: (n_edges, 3), Å, from receiver to sender.
        senders: (n_edges,).
        receivers: (n_edges,), atoms whose neighbors are all there, as far as they are needed.
        n_own: the number of own atoms.
        n_layers: of the model.
    """
    depth = np.full(len(species), n_layers + 1)
    depth[:n_own] = 0
    for shell in range(n_layers):
        reached = senders[depth[receivers] == shell]
        depth[reached] = np.minimum(depth[reached], shell + 1)
    atoms = np.argsort(depth, kind="stable")[: int((depth <= n_layers).sum())]
    order = np.argsort(depth[receivers], kind="stable")
    edges = order[: int((depth[receivers] < n_layers).sum())]
    place = np.full(len(species), -1)
    place[atoms] = np.arange(len(atoms))
    return Shells(
        owners=atoms,
        species=species[atoms],
        edge_vectors=edge_vectors[edges],
        senders=place[senders[edges]],
        receivers=place[receivers[edges]],
        atoms_within=[int((depth <= shell).sum()) for shell in range(n_layers + 1)],
        edges_within=[int((depth[receivers] <= shell).sum()) for shell in range(n_layers)],
    )


def shells_of_frame(
    frame: Frame, elements: Sequence[int], cutoff: float, *, n_layers: int
) -> Shells:
    """Return the shells of all atoms of a frame, its periodic images as ghosts.

    An image is what LAMMPS makes of it: an atom of its own, whose neighbors are found anew.

    Args:
        frame: (n_atoms, ...).
        elements: that the model knows.
        cutoff: Å.
        n_layers: of the model.

    Returns:
        shells whose `owners` are atoms of the frame.

    Raises:
        InputError: as `build_graph`.
    """
    graph = build_graph(frame, elements, cutoff)
    found = (graph.receivers, graph.senders, graph.cell_shifts)
    receivers, senders, steps = (part.numpy() for part in found)
    vectors = graph.edge_vectors(graph.positions, graph.cells).numpy()
    images, edges = _unfold(receivers, senders, steps.astype(np.int64), frame.n_atoms, n_layers)
    of_image = np.array([atom for atom, *_ in images])
    shells = make_shells(
        graph.species.numpy()[of_image],
        vectors[edges[:, 2]],
        edges[:, 1],
        edges[:, 0],
        n_own=frame.n_atoms,
        n_layers=n_layers,
    )
    return replace(shells, owners=of_image[shells.owners])


def _unfold(
    receivers: IntArray, senders: IntArray, steps: IntArray, n_atoms: int, n_layers: int
) -> tuple[list[tuple[int, ...]], IntArray]:
    """Return images (atom, cell) and edges (receiver, sender, pair) within reach of the cell."""
    pairs_of: list[list[int]] = [[] for _ in range(n_atoms)]
    for pair, receiver in enumerate(receivers.tolist()):
        pairs_of[receiver].append(pair)
    images: list[tuple[int, ...]] = [(atom, 0, 0, 0) for atom in range(n_atoms)]
    places = {image: place for place, image in enumerate(images)}
    edges = []
    first = 0
    for _ in range(n_layers):
        last = len(images)
        for place in range(first, last):
            atom, *cell = images[place]
            for pair in pairs_of[atom]:
                image = (int(senders[pair]), *(steps[pair] + cell).tolist())
                if image not in places:
                    places[image] = len(images)
                    images.append(image)
                edges.append((place, places[image], pair))
        first = last
    return images, np.array(edges, dtype=np.int64).reshape(-1, 3)
