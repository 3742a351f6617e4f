"""Reference energies (E0): the isolated atoms' energies, and where they were taken from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers as numbers_of_symbols
from ase.data import chemical_symbols

from fisher_mlip.config import read_yaml
from fisher_mlip.data.frames import Frames
from fisher_mlip.errors import InputError


@dataclass(frozen=True)
class ReferenceEnergies:
    """E0s and their origin.

    Attributes:
        energies: eV by atomic number.
        origin: in words: isolated atoms given with the frames, or a composition fit and its rank.
        fitted: whether they are a fit.
    """

    energies: dict[int, float]
    origin: str
    fitted: bool


def resolve_reference_energies(frames: Frames) -> ReferenceEnergies:
    """Return E0s for every element present: those given, else a composition fit.

    Raises:
        InputError: E0s are given for some of the elements only, or there is nothing to fit.
    """
    if not frames.reference_energies:
        return fit_reference_energies(frames)
    check_reference_energies(frames)
    return ReferenceEnergies(
        dict(frames.reference_energies), "isolated atoms given with the frames", fitted=False
    )


def check_reference_energies(frames: Frames) -> None:
    """Check that the E0s given with frames are those of every element present.

    Raises:
        InputError: some are missing.
    """
    missing = [z for z in frames.elements if z not in frames.reference_energies]
    if missing:
        names = ", ".join(chemical_symbols[z] for z in missing)
        raise InputError(
            f"expected the isolated-atom energy of every element in '{frames.source}', found none "
            f"for {names}: add an IsolatedAtom frame or name a file of reference energies"
        )


def fit_reference_energies(frames: Frames) -> ReferenceEnergies:
    """Fit E0s to the total energies by composition: min ||E_f - sum_z n_fz E0_z||.

    Where compositions do not determine the E0s (molecules of one kind fix only their sum), the
    solution of least norm is taken and the origin says so.

    Args:
        frames: with energies, eV.

    Raises:
        InputError: no frame has an energy.
    """
    labelled = [frame for frame in frames if frame.energy is not None]
    if not labelled:
        raise InputError(f"expected energies to fit E0s to in '{frames.source}', found none")
    elements = frames.elements
    counts = np.array([[np.sum(f.atomic_numbers == z) for z in elements] for f in labelled])
    energies = np.array([frame.energy for frame in labelled], dtype=np.float64)
    solution, _, rank, _ = np.linalg.lstsq(counts.astype(np.float64), energies, rcond=1e-10)
    origin = f"composition fit over {len(labelled)} frames"
    if rank < len(elements):
        origin += (
            f" (rank {rank} of {len(elements)}: only sums of them are determined: better name "
            "isolated atoms by --e0s)"
        )
    values = {z: float(e0) for z, e0 in zip(elements, solution, strict=True)}
    return ReferenceEnergies(values, origin, fitted=True)


def parse_reference_energies(path: Path) -> dict[int, float]:
    """Read `{C: -1025.2, H: -13.6}` (eV; symbols or atomic numbers) from YAML or JSON.

    Raises:
        InputError: no such mapping, an unknown element, or a value that is no finite number.
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or not content:
        raise InputError(
            f"expected reference energies such as 'C: -1025.2' in '{path}', found "
            f"{type(content).__name__}"
        )
    return {_atomic_number(key, path): _energy(key, value, path) for key, value in content.items()}


def _atomic_number(key: object, path: Path) -> int:
    # YAML 1.1 reads the symbols of nitrogen ("N") and yttrium ("Y") as they stand, "No" as false.
    symbol = "No" if key is False else str(key)
    number = int(symbol) if symbol.isdecimal() else numbers_of_symbols.get(symbol, 0)
    if not 0 < number < len(chemical_symbols):
        raise InputError(f"expected a chemical element in '{path}', found '{key}'")
    return number


def _energy(key: object, value: object, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(f"expected an energy in eV for '{key}' in '{path}', found {value!r}")
    return float(value)
