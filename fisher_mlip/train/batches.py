"""Labelled frames as batches of graphs, in an order that depends on seed and epoch alone."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from fisher_mlip.data.frames import Frame, Frames, IntArray
from fisher_mlip.model.checkpoint import CheckpointConfig
from fisher_mlip.model.graph import Graph, build_graph, join_graphs


@dataclass(frozen=True, eq=False)
class Batch:
    """One or more frames with their labels; a label that is not known is NaN.

    Attributes:
        graph: atoms and edges.
        energies: (n_frames,), eV, relative to isolated atoms, float64.
        forces: (n_atoms, 3), eV/Å, float64.
        stresses: (n_frames, 3, 3), eV/Å^3, float64.
    """

    graph: Graph
    energies: Tensor
    forces: Tensor
    stresses: Tensor

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch with every tensor on `device`."""
        return Batch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def label_graph(
    frame: Frame, elements: Sequence[int], reference_energies: Mapping[int, float], cutoff: float
) -> Batch:
    """Return a frame as a batch of one.

    Args:
        frame: with any of energy, forces, stress.
        elements: that the model knows.
        reference_energies: E0 in eV by atomic number, subtracted from the energy in float64.
        cutoff: Å.

    Raises:
        InputError: an element that the model does not know.
    """
    graph = build_graph(frame, elements, cutoff)
    energy = np.nan
    if frame.energy is not None:
        energy = frame.energy - sum_of_references(frame, reference_energies)
    forces = np.full((frame.n_atoms, 3), np.nan) if frame.forces is None else frame.forces
    stress = np.full((3, 3), np.nan) if frame.stress is None else frame.stress
    return Batch(
        graph,
        energies=torch.tensor([energy], dtype=torch.float64),
        forces=torch.tensor(forces, dtype=torch.float64),
        stresses=torch.tensor(stress, dtype=torch.float64)[None],
    )


def sum_of_references(frame: Frame, reference_energies: Mapping[int, float]) -> float:
    """Return the sum of the isolated atoms' energies of a frame, eV."""
    return float(sum(reference_energies[int(z)] for z in frame.atomic_numbers))


def label_graphs(frames: Frames, config: CheckpointConfig) -> list[Batch]:
    """Return each frame as a batch of one; the neighbor lists are made here, once."""
    cutoff = config.model.cutoff
    return [label_graph(f, config.elements, config.reference_energies, cutoff) for f in frames]


def label_frames(frames: Frames, config: CheckpointConfig) -> Batch:
    """Return all frames as one batch."""
    return join_batches(label_graphs(frames, config))


def join_batches(batches: Sequence[Batch]) -> Batch:
    """Return several batches as one."""
    return Batch(
        join_graphs([batch.graph for batch in batches]),
        energies=torch.cat([batch.energies for batch in batches]),
        forces=torch.cat([batch.forces for batch in batches]),
        stresses=torch.cat([batch.stresses for batch in batches]),
    )


@dataclass(frozen=True, eq=False)
class OrderedBatches:
    """Batches in one order; Lightning would take a plain list for several loaders."""

    batches: Sequence[Batch]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


class ShuffledBatches:
    """All frames once per epoch in batches of nearly equal size, none larger than asked.

    The order follows from the seed and the epoch alone, so a resumed training sees the batches
    that the uninterrupted one would have seen. Each process of a multi-GPU training takes every
    `world_size`-th frame of the same order, in the same number of batches.
    """

    def __init__(
        self,
        graphs: Sequence[Batch],
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.graphs = graphs
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.graphs) / (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[Batch]:
        for indices in self.order(self.epoch):
            yield join_batches([self.graphs[i] for i in indices])

    def order(self, epoch: int) -> list[IntArray]:
        """Return the frames' indices of each batch of an epoch."""
        shuffled = np.random.default_rng([self.seed, epoch]).permutation(len(self.graphs))
        return np.array_split(shuffled[self.rank :: self.world_size], len(self))
