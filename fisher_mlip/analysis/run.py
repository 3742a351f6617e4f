"""A run folder -> `Run`: energies in eV, times in ps, and the trajectory's segments."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fisher_mlip.analysis.table import Table, read_table
from fisher_mlip.config import SimulateConfig, read_config
from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.products import SUMMARY_NAME, read_json
from fisher_mlip.units import KJ_PER_MOL_PER_EV
from openmm_plugin.watch import Alarm, read_alarms

_NEEDED = ("config.yaml", "reference.json", "ledger.csv")
_MINIMUM_ROWS = 3
_DENSITY = "Density (g/mL)"


@dataclass(frozen=True, eq=False)
class Reference:
    """What was simulated.

    Attributes:
        symbols: element of each atom.
        molecule_index: (n_atoms,), 0 to n_molecules - 1.
        n_molecules: molecules.
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

    @property
    def duration_ps(self) -> float:
        """Time covered by finite rows of the ledger."""
        times = self.ledger.time_ps
        return float(times[-1] - times[0]) if len(times) else 0.0

    @property
    def frame_interval_ps(self) -> float:
        return self.config.trajectory_interval * self.config.timestep / 1000.0


def read_run(path: Path, label: str | None = None) -> Run:
    """Read a run folder.

    Args:
        path: the folder that `fisher-mlip simulate` wrote or is still writing.
        label: name in tables and plots; the folder's name if None.

    Raises:
        InputError: no run folder, a file that cannot be used, or fewer than 3 ledger rows of a run
            that did not end itself as unstable.
    """
    if not path.is_dir():
        raise InputError(f"expected a run folder at '{path}', found none")
    missing = [name for name in _NEEDED if not (path / name).is_file()]
    if missing:
        raise InputError(f"expected a run folder holding {missing[0]} at '{path}', found none")
    config = read_config(path / "config.yaml", SimulateConfig)
    reference = read_reference(path / "reference.json")
    table = read_table(path / "ledger.csv")
    summary = read_json(path / SUMMARY_NAME) if (path / SUMMARY_NAME).is_file() else {}
    blown_up = _blow_up_ps(summary, config)
    fewest = _MINIMUM_ROWS if blown_up is None else 1
    if len(table.values) < fewest:
        raise InputError(
            f"expected at least {fewest} rows in '{table.path}', found {len(table.values)}"
        )
    molecules, molecule_table = _molecules(path, reference)
    notes = _notes(table, molecule_table, config, summary)
    name = label if label is not None else path.resolve().name
    ledger = _ledger(table, blown_up)
    alarms = tuple(read_alarms(path / "alarms.csv"))
    return Run(path, name, config, reference, ledger, molecules, summary, notes, alarms)


def _blow_up_ps(summary: dict[str, Any], config: SimulateConfig) -> float | None:
    """Return when a run stopped itself; the row that made it stop is not in its ledger."""
    step = summary.get("first_nonfinite_step")
    return None if step is None else step * config.timestep / 1000.0


def read_reference(path: Path) -> Reference:
    """Read `reference.json`.

    Raises:
        InputError: a missing key, or arrays that do not fit each other.
    """
    content = read_json(path)
    needed = ("symbols", "molecule_index", "n_molecules", "bonds")
    absent = [key for key in needed if key not in content]
    if absent:
        raise InputError(f"expected a key '{absent[0]}' in '{path}', found none")
    try:
        molecule_index = np.asarray(content["molecule_index"], dtype=np.int64)
        bonds = np.asarray(content["bonds"], dtype=np.int64).reshape(-1, 2)
        n_molecules = int(content["n_molecules"])
    except (TypeError, ValueError) as error:
        raise InputError(f"expected integer indices in '{path}', found: {error}") from None
    symbols = tuple(content["symbols"])
    n_atoms = len(symbols)
    is_outside = ((bonds < 0) | (bonds >= n_atoms)).any()
    if molecule_index.shape != (n_atoms,) or is_outside:
        raise InputError(f"expected indices for {n_atoms} atoms in '{path}', found others")
    if not np.array_equal(np.unique(molecule_index), np.arange(n_molecules)):
        raise InputError(f"expected molecules 0 to {n_molecules - 1} in '{path}', found others")
    provenance = {
        key: value for key, value in content.items() if not isinstance(value, list | dict)
    }
    return Reference(symbols, molecule_index, n_molecules, bonds, provenance)


def _ledger(table: Table, blown_up_ps: float | None) -> Ledger:
    names = ("Time (ps)", "Potential Energy (kJ/mole)", "Kinetic Energy (kJ/mole)")
    time, potential, kinetic = (table.column(name) for name in names)
    total, temperature = table.column("Total Energy (kJ/mole)"), table.column("Temperature (K)")
    bad = np.flatnonzero(~np.isfinite(potential + kinetic + total + temperature))
    end = int(bad[0]) if len(bad) else len(time)
    elements = {
        name.removeprefix("Temperature ").removesuffix(" (K)"): table.column(name)[:end]
        for name in table.columns
        if name.startswith("Temperature ") and name != "Temperature (K)"
    }
    density = table.column(_DENSITY)[:end] if _DENSITY in table.columns else None
    return Ledger(
        time[:end],
        potential[:end] / KJ_PER_MOL_PER_EV,
        kinetic[:end] / KJ_PER_MOL_PER_EV,
        total[:end] / KJ_PER_MOL_PER_EV,
        temperature[:end],
        elements,
        density,
        float(time[end]) if len(bad) else blown_up_ps,
        len(time),
    )


def _molecules(path: Path, reference: Reference) -> tuple[MoleculeEnergies | None, Table | None]:
    if not (path / "molecules.csv").is_file():
        return None, None
    table = read_table(path / "molecules.csv")
    energy = table.values[:, 2:] / KJ_PER_MOL_PER_EV
    if energy.shape[1] != reference.n_molecules:
        raise InputError(
            f"expected {reference.n_molecules} molecules in '{table.path}', found {energy.shape[1]}"
        )
    if len(energy) < _MINIMUM_ROWS:
        return None, table
    return MoleculeEnergies(table.column("Time (ps)"), energy), table


def _notes(
    table: Table, molecule_table: Table | None, config: SimulateConfig, summary: dict[str, Any]
) -> tuple[str, ...]:
    notes = []
    last = int(table.values[-1, 0])
    if not summary:
        notes.append(
            f"no {SUMMARY_NAME}: the run is still being written or was cut off; read to step {last}"
        )
    elif summary.get("status") not in (None, "finished"):
        notes.append(f"the run says it is {summary['status']}")
    if last + config.report_interval <= config.steps:
        notes.append(f"the ledger ends at step {last} of {config.steps}")
    notes += [
        f"{torn.path.name} ends in a torn line, which is left out"
        for torn in (table, molecule_table)
        if torn is not None and torn.is_torn
    ]
    if molecule_table is not None and len(molecule_table.values) < _MINIMUM_ROWS:
        notes.append(f"molecules.csv has fewer than {_MINIMUM_ROWS} rows and is not used")
    return tuple(notes)
