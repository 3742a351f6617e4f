"""Write frames as extended XYZ that reads back bit for bit."""

from pathlib import Path
from typing import TextIO

import numpy as np
from ase.data import chemical_symbols

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.products import whole_file


def write_frames(path: Path | str, frames: Frames) -> None:
    """Write frames with their labels, after one `IsolatedAtom` frame per E0.

    Numbers are the shortest decimals that give back the same float64; ASE's own writer keeps
    eight decimals.

    Args:
        path: of the extended XYZ; appears only when complete.
        frames: what to write.

    Raises:
        InputError: `path` does not end in `.xyz` or `.extxyz`.
    """
    path = Path(path)
    check_output_name(path)
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as handle:
        for number, energy in sorted(frames.reference_energies.items()):
            _write_frame(handle, _isolated_atom(number, energy))
        for frame in frames:
            _write_frame(handle, frame)


def check_output_name(path: Path) -> None:
    """Check that frames can be written under a name, before the work that makes them.

    Raises:
        InputError: the name does not end in `.xyz` or `.extxyz`.
    """
    if path.suffix.lower() not in {".xyz", ".extxyz"}:
        raise InputError(f"expected an output ending in .xyz or .extxyz, found '{path}'")


def _isolated_atom(number: int, energy: float) -> Frame:
    zeros = np.zeros((1, 3))
    numbers = np.array([number], dtype=np.int64)
    return Frame(numbers, zeros, energy=energy, forces=zeros, config_type="IsolatedAtom")


def _write_frame(handle: TextIO, frame: Frame) -> None:
    columns = [frame.positions] if frame.forces is None else [frame.positions, frame.forces]
    handle.write(f"{frame.n_atoms}\n{_comment(frame)}\n")
    rows = np.hstack(columns).tolist()
    for number, row in zip(frame.atomic_numbers.tolist(), rows, strict=True):
        handle.write(f"{chemical_symbols[number]} {' '.join(map(repr, row))}\n")


def _comment(frame: Frame) -> str:
    fields = []
    if frame.cell.any():
        fields.append(f'Lattice="{_numbers(frame.cell)}"')
    properties = "species:S:1:pos:R:3"
    if frame.forces is not None:
        properties += ":forces:R:3"
    fields.append(f"Properties={properties}")
    if frame.energy is not None:
        fields.append(f"energy={float(frame.energy)!r}")
    if frame.stress is not None:
        fields.append(f'stress="{_numbers(frame.stress)}"')
    if frame.config_type:
        fields.append(f"config_type={_quoted(frame.config_type)}")
    fields.append(f'pbc="{" ".join("T" if periodic else "F" for periodic in frame.pbc)}"')
    return " ".join(fields)


def _numbers(matrix: FloatArray) -> str:
    return " ".join(repr(value) for value in matrix.reshape(-1).tolist())


def _quoted(text: str) -> str:
    if text.replace("_", "").replace("-", "").isalnum():
        return text
    escaped = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
