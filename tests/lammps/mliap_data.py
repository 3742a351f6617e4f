"""What LAMMPS's ML-IAP hands to Python, made by numpy: ranks, ghosts, pairs, exchanges.

As in LAMMPS's src/KOKKOS: `mliap_data_kokkos.cpp` (rows of own atoms alone, r_ij = x_j - x_i, in
LAMMPS's numbering), `mliap_unified_kokkos.cpp` (`update_pair_forces`), `pair_mliap_kokkos.cpp`
(`forward_comm`, `reverse_comm`) and `mliap_unified_couple_kokkos.pyx` (what can be read and set).
"""

import itertools
from collections.abc import Iterator, Sequence
from threading import Barrier
from typing import Any

import numpy as np
from torch import Tensor

from fisher_mlip.data.frames import FloatArray, Frame, IntArray

ROW, COLUMN = (0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)
SKIN = 0.3


class World:
    """The ranks of a run, which meet in exchanges."""

    def __init__(
        self, frame: Frame, rank_of: IntArray, elements: Sequence[int], cutoff: float, **kinds: Any
    ) -> None:
        self.n_ranks = int(rank_of.max()) + 1
        self.barrier = Barrier(self.n_ranks, timeout=60.0)
        self.n_atoms = frame.n_atoms
        self.shared: list[Any] = [None] * self.n_ranks
        kind = kinds.get("kind", RankData)
        reach = kinds.get("reach", cutoff + SKIN)
        species = np.searchsorted(np.asarray(elements), frame.atomic_numbers)
        images = list(all_images(frame, reach))
        self.ranks = [
            kind(self, rank, frame, np.nonzero(rank_of == rank)[0], images, species, cutoff, reach)
            for rank in range(self.n_ranks)
        ]
        self.place_of = {
            atom: (data.rank, place) for data in self.ranks for place, atom in enumerate(data.own)
        }

    def share(self, rank: int, values: FloatArray) -> list[FloatArray]:
        """Return what all ranks gave, once all have given it."""
        self.shared[rank] = values
        self.barrier.wait()
        found = list(self.shared)
        self.barrier.wait()
        return found

    def forces(self) -> FloatArray:
        """Return forces (n_atoms, 3), those on ghosts sent home (newton on)."""
        total = np.zeros((self.n_atoms, 3))
        for data in self.ranks:
            np.add.at(total, data.owners, data.f)
        return total


def all_images(frame: Frame, reach: float) -> Iterator[tuple[int, FloatArray]]:
    """Yield atoms and whole steps of the cell (3,) in which they may be within reach."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(frame.cell), axis=0)
    spread = np.ceil((reach + np.ptp(frame.positions, axis=0).max()) / heights).astype(int)
    steps = itertools.product(*(range(-n, n + 1) for n in spread))
    for step in steps:
        for atom in range(frame.n_atoms):
            yield atom, np.array(step) @ frame.cell


class RankData:
    """`MLIAPDataPy` of one rank, of Kokkos."""

    def __init__(
        self,
        world: World,
        rank: int,
        frame: Frame,
        own: IntArray,
        images: list[tuple[int, FloatArray]],
        species: IntArray,
        cutoff: float,
        reach: float,
    ) -> None:
        self.world, self.rank, self.own = world, rank, own.tolist()
        x = frame.positions[own]
        ghosts = []
        for atom, shift in images:
            place = frame.positions[atom] + shift
            is_own = atom in self.own and not shift.any()
            if not is_own and len(x) and np.linalg.norm(x - place, axis=1).min() < reach:
                ghosts.append((atom, place))
        np.random.default_rng(rank).shuffle(ghosts)
        self.owners = np.array([*self.own, *(atom for atom, _ in ghosts)], dtype=np.int64)
        self.x = np.concatenate([x.reshape(-1, 3), *(place[None] for _, place in ghosts)])
        self.n_own = self.nlistatoms = len(own)
        self.ntotal = len(self.owners)
        self._elems = species[self.owners].astype(np.int32)
        apart = self.x[None] - self.x[: self.n_own, None]
        square = (apart**2).sum(axis=2)
        square[np.arange(self.n_own), np.arange(self.n_own)] = np.inf
        first, second = np.nonzero(square < cutoff**2)
        self._pair_i, self._pair_j = first.astype(np.int32), second.astype(np.int32)
        self._rij = apart[first, second]
        self.npairs = len(first)
        self.f = np.zeros((self.ntotal, 3))
        self.virial = np.zeros(6)
        self.energy = np.nan
        self._eatoms = np.full(self.nlistatoms, np.nan)

    nlocal = property(lambda self: self.n_own)
    elems = property(lambda self: _filled(self._elems))
    pair_i = property(lambda self: _filled(self._pair_i))
    pair_j = property(lambda self: _filled(self._pair_j))
    rij = property(lambda self: _filled(self._rij))
    eatoms = property(lambda self: _filled(self._eatoms))

    def update_pair_forces(self, fij: FloatArray) -> None:
        assert fij.shape == (self.npairs, 3)
        assert fij.dtype == np.float64
        assert fij.flags.c_contiguous
        mine = self._pair_i < self.n_own
        np.add.at(self.f, self._pair_i[mine], fij[mine])
        np.subtract.at(self.f, self._pair_j[mine], fij[mine])
        for k in range(6):
            self.virial[k] -= (self._rij[mine, ROW[k]] * fij[mine, COLUMN[k]]).sum()

    def virial_fdotr(self) -> FloatArray:
        """Return the virial that `virial_fdotr_compute` makes of forces on own atoms and ghosts."""
        return np.array([(self.x[:, ROW[k]] * self.f[:, COLUMN[k]]).sum() for k in range(6)])

    def forward_exchange(self, copy_from: Tensor, copy_to: Tensor, vec_len: int) -> None:
        assert copy_from.shape == copy_to.shape == (self.ntotal, vec_len)
        copy_to.copy_(copy_from)
        given = self.world.share(self.rank, copy_from.clone())
        for ghost in range(self.n_own, self.ntotal):
            rank, place = self.world.place_of[int(self.owners[ghost])]
            copy_to[ghost] = given[rank][place]

    def reverse_exchange(self, copy_from: Tensor, copy_to: Tensor, vec_len: int) -> None:
        assert copy_from.shape == copy_to.shape == (self.ntotal, vec_len)
        copy_to.copy_(copy_from)
        given = self.world.share(self.rank, copy_from.clone())
        for data, values in zip(self.world.ranks, given, strict=True):
            for ghost in range(data.n_own, data.ntotal):
                rank, place = self.world.place_of[int(data.owners[ghost])]
                if rank == self.rank:
                    copy_to[place] += values[ghost]
        copy_to[self.n_own :] = 0.0


class PlainRankData(RankData):
    """`MLIAPDataPy` without Kokkos: no exchange, no nlocal, `eatoms` that is set and not read."""

    nlocal = property()
    forward_exchange = property()
    reverse_exchange = property()

    def _set_eatoms(self, values: FloatArray) -> None:
        self._eatoms[:] = values

    eatoms = property(None, _set_eatoms)


def _filled(array: Any) -> Any:
    """Return an array; Cython makes none of length 0."""
    if len(array) == 0:
        raise ValueError("Invalid shape in axis 0: 0.")
    return array
