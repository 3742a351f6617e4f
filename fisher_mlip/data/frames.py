"""The typed object of the data room: labelled frames and the energies of isolated atoms."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Frame:
    """One configuration with what is known of it.

    Attributes:
        atomic_numbers: (n_atoms,).
        positions: (n_atoms, 3), Å.
        cell: (3, 3), Å, rows are vectors; zeros where there is none.
        pbc: (3,).
        energy: eV, total (with the isolated atoms' energies), or None.
        forces: (n_atoms, 3), eV/Å, or None.
        stress: (3, 3), eV/Å^3, dE/dε / V, or None.
        config_type: a label of the frame's origin, as in `config_type=` of extended XYZ.
    """

    atomic_numbers: IntArray
    positions: FloatArray
    cell: FloatArray = field(default_factory=lambda: np.zeros((3, 3)))
    pbc: BoolArray = field(default_factory=lambda: np.zeros(3, dtype=bool))
    energy: float | None = None
    forces: FloatArray | None = None
    stress: FloatArray | None = None
    config_type: str = ""

    @property
    def n_atoms(self) -> int:
        return len(self.atomic_numbers)

    @property
    def is_periodic(self) -> bool:
        return bool(self.pbc.any())

    def relabelled(self, **labels: Any) -> "Frame":
        """Return a copy with `energy`, `forces`, `stress` or `config_type` replaced."""
        return replace(self, **labels)


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames in order, with the reference energies (E0) of their elements.

    Attributes:
        frames: the configurations; isolated atoms are not among them.
        reference_energies: E0 in eV by atomic number; empty where unknown.
        source: where they came from, for messages.
    """

    frames: tuple[Frame, ...]
    reference_energies: dict[int, float] = field(default_factory=dict)
    source: str = ""

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def __getitem__(self, index: int) -> Frame:
        return self.frames[index]

    def subset(self, indices: Iterable[int]) -> "Frames":
        """Return the frames at `indices`, in that order, with the same E0s."""
        return replace(self, frames=tuple(self.frames[int(i)] for i in indices))

    def batches(self, max_atoms: int) -> Iterator["Frames"]:
        """Yield the frames in order, as many at once as `max_atoms` holds, at least one."""
        batch: list[Frame] = []
        n_atoms = 0
        for frame in self.frames:
            if batch and n_atoms + frame.n_atoms > max_atoms:
                yield replace(self, frames=tuple(batch))
                batch, n_atoms = [], 0
            batch.append(frame)
            n_atoms += frame.n_atoms
        if batch:
            yield replace(self, frames=tuple(batch))

    @property
    def elements(self) -> list[int]:
        """Atomic numbers present, ascending."""
        return sorted({int(z) for frame in self.frames for z in np.unique(frame.atomic_numbers)})

    def content_hash(self) -> str:
        """Return a SHA-256 over everything a model can learn from; order matters."""
        digest = hashlib.sha256()
        for frame in self.frames:
            parts = (frame.atomic_numbers, frame.positions, frame.cell, frame.pbc)
            labels = (frame.energy, frame.forces, frame.stress)
            for part in parts + tuple(label for label in labels if label is not None):
                digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()
