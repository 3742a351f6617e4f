"""Pack molecules into a cubic box with packmol."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from fisher_mlip.data.ethanol import (
    ATOMIC_NUMBERS,
    ATOMS_PER_MOLECULE,
    MOLAR_MASS_AMU,
    ethanol_positions,
)
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.units import G_PER_CM3_PER_AMU_PER_ANGSTROM3

# Å: closest approach of atoms of different molecules in the packed start.
_TOLERANCE = 2.0
_TIME_LIMIT_SECONDS = 300.0


def box_length(molecules: int, density_g_cm3: float) -> float:
    """Return the edge, Å, of the cube that holds `molecules` ethanols at a density.

    Raises:
        InputError: the number or the density is not positive.
    """
    if molecules < 1 or not density_g_cm3 > 0.0:
        raise InputError(
            "expected at least one molecule and a positive density, found "
            f"{molecules} molecules at {density_g_cm3} g/cm3"
        )
    mass = molecules * MOLAR_MASS_AMU
    return float((mass * G_PER_CM3_PER_AMU_PER_ANGSTROM3 / density_g_cm3) ** (1 / 3))


def pack_ethanol(molecules: int, density_g_cm3: float, seed: int) -> tuple[FloatArray, FloatArray]:
    """Pack ethanol molecules at random into a periodic cube.

    Args:
        molecules: how many.
        density_g_cm3: of the box.
        seed: of packmol's random start.

    Returns:
        Positions (9 * molecules, 3) and cell (3, 3), Å.

    Raises:
        InputError: packmol finds no packing in which all molecules keep 2 Å apart.

    Source:
        L. Martinez, R. Andrade, E. G. Birgin, J. M. Martinez, J. Comput. Chem. 30, 2157 (2009).
    """
    length = box_length(molecules, density_g_cm3)
    with tempfile.TemporaryDirectory() as folder:
        _write_molecule(Path(folder) / "molecule.xyz")
        instructions = _instructions(molecules, length, seed)
        finished = _run_packmol(instructions, Path(folder))
        packed = Path(folder) / "packed.xyz"
        if not finished or not packed.is_file():
            raise InputError(
                f"packmol cannot pack {molecules} ethanol molecules at {density_g_cm3} g/cm3 into "
                f"a cube of {length:.2f} Å: expected a density near that of the liquid, 0.789 g/cm3"
            )
        rows = np.loadtxt(packed, skiprows=2, usecols=(1, 2, 3), ndmin=2)
    if rows.shape != (molecules * ATOMS_PER_MOLECULE, 3):
        raise InputError(
            f"expected {molecules * ATOMS_PER_MOLECULE} atoms from packmol, found {len(rows)}"
        )
    return rows, np.eye(3) * length


def _instructions(molecules: int, length: float, seed: int) -> str:
    # packmol takes its seed from the clock when it is not positive.
    return "\n".join(
        [
            f"tolerance {_TOLERANCE}",
            "filetype xyz",
            "output packed.xyz",
            f"seed {seed % 2_000_000 + 1}",
            f"pbc {length:.6f} {length:.6f} {length:.6f}",
            "nloop 30",
            "structure molecule.xyz",
            f"  number {molecules}",
            "end structure",
            "",
        ]
    )


def _run_packmol(instructions: str, folder: Path) -> bool:
    from packmol.cli import get_binary_path

    instructions_path = folder / "packmol.inp"
    instructions_path.write_text(instructions, encoding="utf-8")
    try:
        # packmol rewinds its standard input, which a pipe does not allow.
        with instructions_path.open("rb") as handle:
            result = subprocess.run(
                [str(get_binary_path())],
                stdin=handle,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_TIME_LIMIT_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired:
        return False
    return result.returncode == 0 and "Success!" in result.stdout


def _write_molecule(path: Path) -> None:
    lines = [str(ATOMS_PER_MOLECULE), "ethanol"]
    for number, row in zip(ATOMIC_NUMBERS, ethanol_positions(), strict=True):
        lines.append(f"{chemical_symbols[number]} {row[0]:.6f} {row[1]:.6f} {row[2]:.6f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
