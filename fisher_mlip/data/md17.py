"""Read the `.npz` archives of MD17 and rMD17."""

import zipfile
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from ase.data import chemical_symbols

from fisher_mlip.data.frames import FloatArray, Frame, Frames, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.units import EV_PER_HARTREE, KCAL_PER_MOL_PER_EV, KJ_PER_MOL_PER_EV

EnergyUnit = Literal["kcal/mol", "kJ/mol", "eV", "Hartree"]
ENERGY_UNITS: dict[EnergyUnit, float] = {
    "kcal/mol": 1.0 / KCAL_PER_MOL_PER_EV,
    "kJ/mol": 1.0 / KJ_PER_MOL_PER_EV,
    "eV": 1.0,
    "Hartree": EV_PER_HARTREE,
}

# rMD17's name first, then MD17's.
_KEYS = {
    "atomic numbers": ("nuclear_charges", "z"),
    "positions": ("coords", "R"),
    "energies": ("energies", "E"),
    "forces": ("forces", "F"),
}


def read_md17(path: Path, *, energy_unit: EnergyUnit = "kcal/mol") -> Frames:
    """Read an MD17 or rMD17 archive: one molecule, many frames.

    Args:
        path: `.npz` with `nuclear_charges` or `z` (n_atoms,), `coords` or `R` (n, n_atoms, 3) Å,
            `energies` or `E` (n,) or (n, 1), `forces` or `F` (n, n_atoms, 3) per Å.
        energy_unit: unit of energies and forces; both sets are published in kcal/mol.

    Returns:
        Frames in eV and Å; E0s unknown.

    Raises:
        InputError: no such archive, a key is missing, or shapes do not fit each other.

    Source:
        Chmiela et al., Sci. Adv. 3, e1603015 (2017); Christensen and von Lilienfeld,
        Mach. Learn.: Sci. Technol. 1, 045018 (2020).
    """
    if energy_unit not in get_args(EnergyUnit):
        units = ", ".join(get_args(EnergyUnit))
        raise InputError(f"expected an energy unit of {units}, found '{energy_unit}'")
    arrays = _read_arrays(path)
    numbers = _atomic_numbers(arrays["atomic numbers"], path)
    positions, forces = arrays["positions"], arrays["forces"]
    count = positions.shape[0] if positions.ndim else 0
    _expect(positions, (count, len(numbers), 3), "positions", path)
    _expect(forces, positions.shape, "forces", path)
    energies = arrays["energies"].reshape(-1)
    _expect(energies, (count,), "energies", path)
    factor = ENERGY_UNITS[energy_unit]
    frames = tuple(
        Frame(numbers, positions[i], energy=float(energies[i] * factor), forces=forces[i] * factor)
        for i in range(count)
    )
    return Frames(frames, source=str(path))


def _read_arrays(path: Path) -> dict[str, FloatArray]:
    if not zipfile.is_zipfile(path):
        raise InputError(f"expected an MD17 .npz in '{path}', found another kind of file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {what: archive[_key(archive.files, what, path)] for what in _KEYS}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"expected an MD17 .npz in '{path}', found: {error}") from None
    for what, array in found.items():
        if not (isinstance(array, np.ndarray) and array.dtype.kind in "iuf"):
            kind = getattr(array, "dtype", type(array).__name__)
            raise InputError(f"expected numbers as {what} in '{path}', found {kind}")
    return {what: array.astype(np.float64) for what, array in found.items()}


def _atomic_numbers(values: FloatArray, path: Path) -> IntArray:
    flat = values.reshape(-1)
    # Written so that a NaN fails.
    elements = (flat == np.round(flat)) & (flat > 0) & (flat < len(chemical_symbols))
    if not elements.all():
        raise InputError(
            f"expected atomic numbers of elements in '{path}', found {flat[~elements][0]:g}"
        )
    return flat.astype(np.int64)


def _key(present: list[str], what: str, path: Path) -> str:
    for key in _KEYS[what]:
        if key in present:
            return key
    names = " or ".join(f"'{key}'" for key in _KEYS[what])
    raise InputError(f"expected {what} as {names} in '{path}', found keys {sorted(present)}")


def _expect(array: FloatArray, shape: tuple[int, ...], what: str, path: Path) -> None:
    if array.shape != shape:
        raise InputError(f"expected {what} of shape {shape} in '{path}', found {array.shape}")
