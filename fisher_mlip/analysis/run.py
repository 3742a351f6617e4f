"""`Run`: what is known of a run, whichever engine made it; energies in eV, times in ps."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.units import FS_PER_PS
from openmm_plugin.watch import Alarm


@dataclass(frozen=True, eq=False)
class Reference:
    """What was simulated.

    Attributes:
        symbols: element of each atom.
        molecule_index: (n_atoms,), 0 to n_molecules - 1.
        n_molecules: molecules; 0 where they are not known, and nor are the symbols.
        bonds: (n_bonds, 2), atom indices.
        provenance: the other entries of `reference.json` (model, its hash, ...).
    """

    symbols: tuple[str, ...]
    molecule_index: IntArray
    n_molecules: int
    bonds: IntArray
    provenance: dict[str, Any]

    @property
    def n_atoms(self) -> int:
        return len(self.symbols)


@dataclass(frozen=True, eq=False)
class Ledger:
    """The rows whose energies are finite, and where they cease to be.

    Attributes:
        time_ps: (n_rows,).
        potential, kinetic, total: (n_rows,), eV, of the whole system.
        temperature: (n_rows,), K.
        element_temperatures: K by element, (n_rows,) each.
        density: (n_rows,), g/mL; None where the system is not periodic.
        first_nonfinite_ps: time of the first row with a NaN or infinite energy, or at which the run
            ended itself because of one; None if never.
        n_rows_read: whole rows in the file, finite or not.
    """

    time_ps: FloatArray
    potential: FloatArray
    kinetic: FloatArray
    total: FloatArray
    temperature: FloatArray
    element_temperatures: dict[str, FloatArray]
    density: FloatArray | None
    first_nonfinite_ps: float | None
    n_rows_read: int


@dataclass(frozen=True, eq=False)
class MoleculeEnergies:
    """Total energy of each independent molecule.

    Attributes:
        time_ps: (n_rows,).
        energy: (n_rows, n_molecules), eV; NaN where a molecule blew up.
    """

    time_ps: FloatArray
    energy: FloatArray


@dataclass(frozen=True)
class DumpPart:
    """A file of a LAMMPS trajectory, of which the frames after one step and up to another count.

    Attributes:
        path: a dump; it may be missing.
        first_step: the frame of this step, with which the file begins, does not count.
        last_step: the last that counts; None for no end.
    """

    path: Path
    first_step: int
    last_step: int | None = None


@dataclass(frozen=True)
class Dump:
    """A LAMMPS trajectory.

    Attributes:
        parts: in the order in which they were written; none where no dump was found.
        origin_step: that times count from.
    """

    parts: tuple[DumpPart, ...]
    origin_step: int = 0


@dataclass(frozen=True, eq=False)
class Run:
    """One run folder, read as far as it is whole.

    Attributes:
        path: the folder.
        label: its name in tables and plots.
        config: how it was run.
        reference: what was run.
        ledger: energies and temperatures.
        molecules: energies by molecule, or None where molecules are not independent.
        summary: what the run wrote at its end; empty if it has not ended.
        notes: what was missing or torn, in sentences.
        alarms: of the run's watch, those before a rewind too.
        rewound_ps: time that the last rewind went back to: up to it the total energy is that of
            other velocities, and maybe of another model; None where all rows are of one stretch.
        dump: the trajectory of a LAMMPS run; None where segments of DCD hold it.
        is_foreign: a LAMMPS run that we did not start: what is known of it was inferred, and its
            configuration names no more than that.
        failure: the message that LAMMPS ended with where atoms were lost or ceased to be finite.
    """

    path: Path
    label: str
    config: SimulateConfig
    reference: Reference
    ledger: Ledger
    molecules: MoleculeEnergies | None
    summary: dict[str, Any]
    notes: tuple[str, ...]
    alarms: tuple[Alarm, ...] = ()
    rewound_ps: float | None = None
    dump: Dump | None = None
    is_foreign: bool = False
    failure: str = ""

    @property
    def duration_ps(self) -> float:
        """Time covered by finite rows of the ledger."""
        times = self.ledger.time_ps
        return float(times[-1] - times[0]) if len(times) else 0.0

    @property
    def frame_interval_ps(self) -> float:
        return self.config.trajectory_interval * self.config.timestep / FS_PER_PS

    @property
    def settings(self) -> dict[str, Any]:
        """How it was run, as far as that is known."""
        known = self.config.model_fields_set - {"model"} if self.is_foreign else None
        return self.config.model_dump(include=known)


def finite_ledger(
    time_ps: FloatArray,
    columns: Mapping[str, FloatArray],
    elements: Mapping[str, FloatArray],
    density: FloatArray | None,
    blown_up_ps: float | None,
) -> Ledger:
    """Return the rows before the first that is not finite.

    Args:
        time_ps: (n_rows,).
        columns: `potential`, `kinetic`, `total` in eV and `temperature` in K, (n_rows,) each.
        elements: K by element, (n_rows,) each.
        density: (n_rows,), g/mL, or None.
        blown_up_ps: time at which the run ended itself because of an energy, or None.
    """
    bad = np.flatnonzero(~np.isfinite(sum(columns.values())))
    end = int(bad[0]) if len(bad) else len(time_ps)
    return Ledger(
        time_ps[:end],
        **{name: series[:end] for name, series in columns.items()},
        element_temperatures={name: series[:end] for name, series in elements.items()},
        density=None if density is None else density[:end],
        first_nonfinite_ps=float(time_ps[end]) if len(bad) else blown_up_ps,
        n_rows_read=len(time_ps),
    )
