"""A LAMMPS dump -> which whole frames it holds, and the system in its first one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import mdtraj
import numpy as np
from ase.data import atomic_masses, atomic_numbers
from mdtraj.formats import LAMMPSTrajectoryFile

from fisher_mlip.analysis.run import DumpPart
from fisher_mlip.data.frames import BoolArray, Frame, IntArray
from fisher_mlip.errors import InputError

_HEADER_LINES = 9
_ITEMS = {0: "TIMESTEP", 2: "NUMBER OF ATOMS", 4: "BOX BOUNDS", 8: "ATOMS"}
_LINE = "dump ID all custom N trajectory.lammpstrj id type element xu yu zu"
# amu between a mass and that of its element.
_MASS_TOLERANCE = 0.1


@dataclass(frozen=True, eq=False)
class Header:
    """Of a frame: its step, its atoms, which directions are periodic (3,), and its columns."""

    step: int
    n_atoms: int
    is_periodic: BoolArray
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class DumpIndex:
    """The whole frames of a dump.

    Attributes:
        first: header of the first one; None where there is none.
        steps: (n_frames,), rising.
        is_torn: the last frame was cut off while it was written.
    """

    first: Header | None
    steps: IntArray
    is_torn: bool

    def counted(self, part: DumpPart) -> tuple[int, int]:
        """Return the first frame that counts and that after the last, from 0."""
        begin = int(np.searchsorted(self.steps, part.first_step, side="right"))
        if part.last_step is None:
            return begin, len(self.steps)
        return begin, max(begin, int(np.searchsorted(self.steps, part.last_step, side="right")))


def read_index(path: Path) -> DumpIndex:
    """Find the whole frames of a dump; one that is missing has none.

    Raises:
        InputError: it is no dump, a frame is torn before the end, atoms come or go, steps do not
            rise, or it lacks a column.
    """
    first: Header | None = None
    steps: list[int] = []
    if not path.is_file():
        return DumpIndex(None, np.array(steps, dtype=np.int64), False)
    with path.open("rb") as handle:
        while lines := list(islice(handle, _HEADER_LINES)):
            header = _header(lines, path)
            if header is None or not _passes_body(handle, header.n_atoms):
                break
            first = first or header
            if header.n_atoms != first.n_atoms or (steps and header.step <= steps[-1]):
                raise InputError(
                    f"expected rising steps and {first.n_atoms} atoms in each frame of '{path}', "
                    f"found step {header.step} with {header.n_atoms} atoms after {steps[-1]}"
                )
            steps.append(header.step)
    return DumpIndex(first, np.array(steps, dtype=np.int64), bool(lines))


def first_frame(path: Path) -> Frame:
    """Return the first frame of a dump with the elements of its atoms, which are in order of id.

    Raises:
        InputError: there is no whole frame, it is not of all atoms, or it names no elements.
    """
    header = read_index(path).first
    if header is None:
        raise InputError(f"expected a whole frame in '{path}', found none")
    with path.open(encoding="utf-8") as handle:
        body = islice(handle, _HEADER_LINES, _HEADER_LINES + header.n_atoms)
        cells = zip(*(line.split() for line in body), strict=True)
        columns = dict(zip(header.columns, cells, strict=True))
    ids = np.array(columns["id"], dtype=np.int64)
    order = np.argsort(ids)
    if not np.array_equal(ids[order], np.arange(1, header.n_atoms + 1)):
        raise InputError(
            f"expected atoms with the ids 1 to {header.n_atoms} in '{path}', found "
            f"{ids.min()} to {ids.max()}: '{_LINE}'"
        )
    numbers = _atomic_numbers(columns, path)[order]
    with LAMMPSTrajectoryFile(str(path)) as handle:
        xyz, lengths, angles = handle.read(n_frames=1)
    vectors = mdtraj.utils.unitcell.lengths_and_angles_to_box_vectors(*lengths[0], *angles[0])
    return Frame(numbers, xyz[0], np.array(vectors, dtype=np.float64), header.is_periodic)


def _header(lines: Sequence[bytes], path: Path) -> Header | None:
    """Return the header of a frame, or None of one that was cut off."""
    texts = [line.decode("utf-8", errors="replace") for line in lines]
    for place, name in _ITEMS.items():
        # A name that was cut off is the beginning of what it should be.
        if place < len(texts) and not texts[place].startswith(f"ITEM: {name}"):
            if place == len(texts) - 1 and f"ITEM: {name}".startswith(texts[place].rstrip("\n")):
                return None
            raise InputError(
                f"expected ITEM: {name} in '{path}', found {texts[place].strip()[:60]!r}: a dump "
                f"made by '{_LINE}' has it"
            )
    if len(texts) < _HEADER_LINES or not texts[-1].endswith("\n"):
        return None
    box = texts[4].split()[3:]
    columns = tuple(texts[8].split()[2:])
    _check_columns(columns, path)
    if len(box) not in (3, 6) or not texts[3].strip().isdigit() or not texts[1].strip().isdigit():
        raise InputError(
            f"expected a step, atoms and a box with the words of its boundaries in '{path}', found "
            f"{texts[1].strip()!r}, {texts[3].strip()!r} and {' '.join(box)!r}"
        )
    is_periodic = np.array([word == "pp" for word in box[-3:]])
    return Header(int(texts[1]), int(texts[3]), is_periodic, columns)


def _check_columns(columns: Sequence[str], path: Path) -> None:
    # Scaled positions come before unwrapped ones in mdtraj, which takes them for lengths.
    has_lengths = "x" in columns or ("xu" in columns and "xs" not in columns)
    if not {"id", "type"} <= set(columns) or not has_lengths:
        raise InputError(
            f"expected the columns id, type and x y z or xu yu zu in '{path}', found "
            f"{' '.join(columns)}: '{_LINE}'"
        )


def _passes_body(handle: BinaryIO, n_atoms: int) -> bool:
    """Go past the lines of a frame's atoms; return whether all are there, the last to its end."""
    body = list(islice(handle, n_atoms))
    return len(body) == n_atoms and (not body or body[-1].endswith(b"\n"))


def _atomic_numbers(columns: Mapping[str, Sequence[str]], path: Path) -> IntArray:
    if "element" in columns:
        unknown = [name for name in columns["element"] if name not in atomic_numbers]
        if unknown:
            raise InputError(
                f"expected chemical symbols in the column element of '{path}', found "
                f"'{unknown[0]}': add 'dump_modify ID element C H O', a symbol a type"
            )
        return np.array([atomic_numbers[name] for name in columns["element"]], dtype=np.int64)
    if "mass" not in columns:
        raise InputError(
            f"expected a column element or mass in '{path}', found {' '.join(columns)}: '{_LINE}' "
            "with 'dump_modify ID element C H O', a symbol a type"
        )
    masses = np.array(columns["mass"], dtype=np.float64)
    numbers = np.abs(atomic_masses[1:] - masses[:, None]).argmin(axis=1) + 1
    far = np.flatnonzero(np.abs(atomic_masses[numbers] - masses) > _MASS_TOLERANCE)
    if len(far):
        raise InputError(
            f"expected masses of elements in '{path}', found {masses[far[0]]:g}: add a column "
            "element and 'dump_modify ID element C H O', a symbol a type"
        )
    return np.asarray(numbers, dtype=np.int64)
