"""Is what comes out of LAMMPS the model? Energy, forces and virial against the eager network."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.errors import InputError
from fisher_mlip.export.lammps_artefact import (
    LammpsArtefact,
    lammps_force_uncertainty,
    lammps_forces,
)
from fisher_mlip.export.manifest import LAMMPS_MODEL_NAME
from fisher_mlip.export.parity import FORCE_TOLERANCE
from fisher_mlip.lammps.data_file import data_text, type_symbols
from fisher_mlip.lammps.input_script import boundary_of, pair_lines
from fisher_mlip.lammps.launching import lammps_command, lammps_environment, start_process
from fisher_mlip.lammps.outcome import find_failure, has_finished, refusal
from fisher_mlip.model.checkpoint import Checkpoint, network_in
from fisher_mlip.model.graph import build_graph
from fisher_mlip.model.potential import evaluate
from fisher_mlip.products import write_text
from fisher_mlip.simulate.structures import topology_of
from fisher_mlip.simulate.systems import MolecularSystem

# LAMMPS's own, of `units metal` (1.6021765e6 bar A^3/eV): its pressures are compared in eV/Å^3.
NKTV2P = 1.6021765e6
_COMPONENTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_SCRIPT, _LOG, _DUMP = "in.check", "log.check", "forces.txt"


@dataclass(frozen=True)
class LammpsResult:
    """One configuration in LAMMPS.

    Attributes:
        energy: eV, relative to isolated atoms.
        forces: (n_atoms, 3), eV/Å.
        virial: (3, 3), eV, -V times the stress; zero without a box.
    """

    energy: float
    forces: FloatArray
    virial: FloatArray


@dataclass(frozen=True)
class LammpsParity:
    """Largest differences between LAMMPS and the eager model.

    Attributes:
        ranks: MPI processes.
        frames: how many were compared.
        force_difference: eV/Å.
        energy_difference_per_atom: eV.
        virial_difference_per_atom: eV.
        largest_force: eV/Å.
        tolerance: allowed, in those units, scaled by the largest force above 1 eV/Å.
    """

    ranks: int
    frames: int
    force_difference: float
    energy_difference_per_atom: float
    virial_difference_per_atom: float
    largest_force: float
    tolerance: float

    @property
    def holds(self) -> bool:
        # Written so that a NaN fails.
        found = (
            self.force_difference,
            self.energy_difference_per_atom,
            self.virial_difference_per_atom,
        )
        allowed = self.tolerance * max(1.0, self.largest_force)
        return all(bool(np.isfinite(value)) and value <= allowed for value in found)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for a summary."""
        return asdict(self) | {"holds": self.holds}


def fits_lammps(frame: Frame) -> bool:
    """Whether a frame's cell, where it has one, is as LAMMPS wants it: a lower triangle."""
    cell = frame.cell
    is_triangular = np.array_equal(cell, np.tril(cell)) and bool((np.diagonal(cell) > 0.0).all())
    return is_triangular if frame.is_periodic else not frame.pbc.any()


def forces_and_doubts(artefact: LammpsArtefact, frame: Frame) -> tuple[float, float]:
    """Return the medians over atoms of the size of forces and of their uncertainty, eV/Å.

    Args:
        artefact: with sampled heads.
        frame: of elements that it knows.
    """
    _, forces = lammps_forces(artefact, frame)
    doubts = lammps_force_uncertainty(artefact, frame)
    return float(np.median(np.linalg.norm(forces, axis=1))), float(np.median(doubts))


def run_frame(
    model: Path, frame: Frame, plugin: Path, *, ranks: int = 1, extra: Sequence[str] = ()
) -> LammpsResult:
    """Return what LAMMPS makes of one configuration, by a run of zero steps.

    Args:
        model: `model.lmp.pt`.
        frame: periodic, its cell a lower triangle, or without a box.
        plugin: folder of the pair style.
        ranks: MPI processes.
        extra: lines of the input before the run.

    Raises:
        InputError: LAMMPS refuses it.
    """
    cell = frame.cell if frame.is_periodic else None
    molecular = MolecularSystem(topology_of(frame), frame.positions, cell, False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = data_text(molecular, np.zeros((frame.n_atoms, 3)), "a check of fisher-mlip")
        write_text(folder / "check.data", text)
        # LAMMPS has its own ideas of spaces and umlauts in paths.
        (folder / LAMMPS_MODEL_NAME).symlink_to(model.resolve())
        write_text(folder / _SCRIPT, _script(molecular, extra))
        log, screen = folder / _LOG, folder / "screen.txt"
        command = lammps_command(folder / _SCRIPT, log, ranks)
        process = start_process(command, folder, lammps_environment(plugin, 1), screen)
        if process.wait() or not has_finished(log):
            raise refusal(find_failure(log, screen), screen)
        row = np.array(_row_of(log), dtype=np.float64)
        forces = np.loadtxt(folder / _DUMP, skiprows=9, ndmin=2)[:, 1:]
    virial = np.zeros((3, 3))
    for k, (a, b) in enumerate(_COMPONENTS):
        virial[a, b] = virial[b, a] = row[3 + k] * row[2] / NKTV2P if frame.is_periodic else 0.0
    return LammpsResult(float(row[1]), forces, virial)


def _script(molecular: MolecularSystem, extra: Sequence[str]) -> str:
    symbols = type_symbols(molecular)
    lines = [
        "units metal",
        "atom_style molecular",
        f"boundary {boundary_of(molecular)}",
        "newton on",
        "read_data check.data",
        "special_bonds lj/coul 1.0 1.0 1.0",
        *pair_lines(LAMMPS_MODEL_NAME, symbols, SimulateConfig(model=LAMMPS_MODEL_NAME)),
        "neighbor 0.5 bin",
        *extra,
        "thermo_style custom step pe vol pxx pyy pzz pxy pxz pyz",
        "thermo_modify format float %.17g norm no",
        "fix integrate all nve",
        "run 0",
        f"write_dump all custom {_DUMP} id fx fy fz modify sort id format float %.17g",
    ]
    return "\n".join([*lines, ""])


def _row_of(log: Path) -> list[str]:
    lines = log.read_text(encoding="utf-8").splitlines()
    for before, line in pairwise(lines):
        if before.split()[:1] == ["Step"]:
            return line.split()
    raise InputError(f"expected a row of numbers in '{log}', found none")


def compare_in_lammps(
    artefact: LammpsArtefact,
    checkpoint: Checkpoint,
    frames: Sequence[Frame],
    plugin: Path,
    *,
    ranks: int,
    extra: Sequence[str] = (),
) -> LammpsParity:
    """Return the differences between LAMMPS and the checkpoint over some frames.

    Args:
        artefact: the model that LAMMPS runs.
        checkpoint: that it was made from.
        frames: as `run_frame` takes them.
        plugin: folder of the pair style.
        ranks: MPI processes.
        extra: lines of the input before the run.

    Raises:
        InputError: LAMMPS refuses a frame.
    """
    manifest = artefact.manifest
    network = network_in(checkpoint, manifest.dtype)
    worst = np.zeros(4)
    for frame in frames:
        graph = build_graph(frame, manifest.elements, manifest.cutoff)
        eager = evaluate(network, graph, stress=frame.is_periodic)
        found = run_frame(artefact.path, frame, plugin, ranks=ranks, extra=extra)
        forces = eager.forces.numpy()
        virial = np.zeros((3, 3))
        if eager.stresses is not None:
            virial = -eager.stresses[0].numpy() * abs(np.linalg.det(frame.cell))
        differences = [
            np.abs(found.forces - forces).max(),
            abs(found.energy - float(eager.energies[0])) / frame.n_atoms,
            np.abs(found.virial - virial).max() / frame.n_atoms,
            np.abs(forces).max(),
        ]
        # np.maximum keeps a NaN where Python's max would drop it.
        worst = np.maximum(worst, differences)
    force, energy, stress, largest = worst.tolist()
    tolerance = FORCE_TOLERANCE[manifest.dtype]
    return LammpsParity(ranks, len(frames), force, energy, stress, largest, tolerance)
