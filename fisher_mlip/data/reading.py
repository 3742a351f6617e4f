"""Read frames from any file that holds them: extended XYZ, MD17 archives, what ASE reads."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from fisher_mlip.data.ase_frames import is_isolated_atom, read_ase_frames
from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.data.md17 import EnergyUnit, read_md17
from fisher_mlip.data.reference_energies import parse_reference_energies
from fisher_mlip.errors import InputError


def read_frames(
    path: Path | str,
    *,
    reference_energies: Path | str | None = None,
    npz_energy_unit: EnergyUnit = "kcal/mol",
) -> Frames:
    """Read frames and the energies of isolated atoms (E0) that come with them.

    Frames of one atom marked `config_type=IsolatedAtom` (or `isolated_atom`) become E0s.

    Args:
        path: `.npz` in the layout of MD17 or rMD17; else extended XYZ (`energy`, `forces`,
            `stress` or `virial`, plain or with the prefix `REF_`) or another format of ASE.
        reference_energies: E0s to take instead of those in `path`: YAML or JSON such as
            `{C: -1025.2, H: -13.6}` in eV, or a file with isolated-atom frames.
        npz_energy_unit: unit of energy in an `.npz`; its lengths are Å.

    Returns:
        Frames in eV and Å.

    Raises:
        InputError: the file is missing, unreadable, or contradicts itself.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"expected a file of frames '{path}', found none")
    if path.suffix.lower() == ".npz":
        frames = read_md17(path, energy_unit=npz_energy_unit)
    else:
        frames = _without_isolated_atoms(read_ase_frames(path), str(path))
    if reference_energies is not None:
        frames = replace(frames, reference_energies=read_reference_energies(reference_energies))
    if not frames.frames and not frames.reference_energies:
        raise InputError(f"expected at least one frame in '{path}', found none")
    return frames


def read_reference_energies(path: Path | str) -> dict[int, float]:
    """Read E0s in eV by atomic number from YAML, JSON, or a file with isolated-atom frames.

    Raises:
        InputError: the file is missing or holds no E0s.
    """
    path = Path(path)
    if path.suffix.lower() in {".yaml", ".yml", ".json"}:
        return parse_reference_energies(path)
    energies = read_frames(path).reference_energies
    if not energies:
        raise InputError(
            f"expected frames of one atom with config_type=IsolatedAtom in '{path}', found none"
        )
    return energies


def _without_isolated_atoms(frames: Iterable[Frame], source: str) -> Frames:
    kept: list[Frame] = []
    energies: dict[int, float] = {}
    for frame in frames:
        if not is_isolated_atom(frame):
            kept.append(frame)
            continue
        number = int(frame.atomic_numbers[0])
        if frame.energy is None:
            raise InputError(f"isolated atom Z={number} in '{source}' has no energy: add it")
        if energies.setdefault(number, frame.energy) != frame.energy:
            raise InputError(
                f"expected one energy of the isolated atom Z={number} in '{source}', found "
                f"{energies[number]} and {frame.energy} eV"
            )
    return Frames(tuple(kept), energies, source)
