"""ASE's `Atoms` <-> `Frame`: which labels are taken, under which names."""

from pathlib import Path
from typing import Any

import numpy as np

from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.errors import InputError

_PREFIX = "REF_"
_ISOLATED = {"isolatedatom", "isolated_atom"}


def is_isolated_atom(frame: Frame) -> bool:
    """Whether the frame is one atom marked as an isolated one."""
    return frame.n_atoms == 1 and frame.config_type.lower() in _ISOLATED


def read_ase_frames(path: Path) -> list[Frame]:
    """Read every configuration of a file through ASE, isolated atoms among them.

    Raises:
        InputError: ASE cannot read the file, or a frame's labels contradict each other.
    """
    from ase.io import read

    file_format = "extxyz" if path.suffix.lower() in {".xyz", ".extxyz"} else None
    try:
        images = read(path, index=":", format=file_format)
    # Each of ASE's readers fails in its own way; all mean the same to the user.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"expected extended XYZ, an MD17 .npz or another format of ASE in '{path}', "
            f"found: {reason}"
        ) from None
    return [
        frame_of_atoms(atoms, f"frame {index} of '{path}'") for index, atoms in enumerate(images)
    ]


def frame_of_atoms(atoms: Any, name: str = "the frame") -> Frame:
    """Turn ASE `Atoms` with their labels into a frame.

    Labels are `energy`, `forces`, `stress` or `virial` of a calculator's results, of `info` or
    of `arrays`; all of them with the prefix `REF_` where one has it.

    Args:
        atoms: an `ase.Atoms`.
        name: how messages call it.

    Raises:
        InputError: labels with and without the prefix stand in for each other, or a shape is off.
    """
    found = dict(atoms.info) | dict(atoms.arrays)
    if atoms.calc is not None:
        found |= {key: value for key, value in atoms.calc.results.items() if value is not None}
    prefix = _label_prefix(found, name)
    cell = np.array(atoms.cell[:], dtype=np.float64)
    energy = found.get(prefix + "energy")
    forces = found.get(prefix + "forces")
    return Frame(
        atomic_numbers=np.array(atoms.numbers, dtype=np.int64),
        positions=np.array(atoms.positions, dtype=np.float64),
        cell=cell,
        pbc=np.array(atoms.pbc, dtype=bool),
        energy=None if energy is None else _number(energy, f"{prefix}energy of {name}"),
        forces=None
        if forces is None
        else _array(forces, (len(atoms), 3), f"{prefix}forces of {name}"),
        stress=_stress(found, prefix, cell, name),
        config_type=str(found.get("config_type", "")),
    )


def atoms_of_frame(frame: Frame) -> Any:
    """Return ASE `Atoms` with the frame's geometry and no labels."""
    from ase import Atoms

    return Atoms(
        numbers=frame.atomic_numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc
    )


def _label_prefix(found: dict[str, Any], name: str) -> str:
    labels = ("energy", "forces", "stress", "virial")
    prefixed = {label for label in labels if _PREFIX + label in found}
    if not prefixed:
        return ""
    for label in ("energy", "forces"):
        if label not in prefixed and label in found:
            raise InputError(
                f"{name} has {_PREFIX}{min(prefixed)} beside a plain '{label}' and no "
                f"{_PREFIX}{label}: rename them so that all labels carry the same prefix"
            )
    return _PREFIX


def _stress(found: dict[str, Any], prefix: str, cell: FloatArray, name: str) -> FloatArray | None:
    if prefix + "stress" in found:
        return _symmetric_matrix(found[prefix + "stress"], f"{prefix}stress of {name}")
    if prefix + "virial" in found:
        volume = abs(float(np.linalg.det(cell)))
        if volume == 0.0:
            raise InputError(f"{name} has a virial but no cell to turn it into a stress")
        return -_symmetric_matrix(found[prefix + "virial"], f"{prefix}virial of {name}") / volume
    return None


def _symmetric_matrix(values: Any, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape == (6,):  # Voigt: xx yy zz yz xz xy
        return np.array(array[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]])
    if array.size != 9:
        raise InputError(f"expected 9 or 6 numbers as {name}, found shape {array.shape}")
    matrix = array.reshape(3, 3)
    return np.array((matrix + matrix.T) / 2)


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"expected a number as {name}, found {value!r}") from None


def _array(value: Any, shape: tuple[int, ...], name: str) -> FloatArray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"expected numbers as {name}, found {value!r}") from None
    if array.shape != shape:
        raise InputError(f"expected {name} of shape {shape}, found {array.shape}")
    return array
