"""Run folders of `fisher-mlip simulate` -> `Run`: those of OpenMM, and what LAMMPS' share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fisher_mlip.analysis.run import Ledger, MoleculeEnergies, Reference, Run, finite_ledger
from fisher_mlip.analysis.table import Table, read_table
from fisher_mlip.config import SimulateConfig, read_config
from fisher_mlip.errors import InputError
from fisher_mlip.products import SUMMARY_NAME, read_json
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.rewinding import last_rewind
from fisher_mlip.units import FS_PER_PS, KJ_PER_MOL_PER_EV
from openmm_plugin.watch import read_alarms

MINIMUM_ROWS = 3
_DENSITY = "Density (g/mL)"
# How a run ended that did not come to its last step, by the status in its summary.
ENDINGS = {
    "alarm": "by an alarm of its watch",
    "interrupted": "before its last step: it was interrupted",
    "unstable": "unstable: its energy ceased to be finite",
}


@dataclass(frozen=True, eq=False)
class Description:
    """What the files of a run folder say that are the same for both engines.

    Attributes:
        config: how it was run.
        reference: what was run.
        summary: what the run wrote at its end; empty if it has not ended.
        molecules: energies by molecule, or None where there are none.
        notes: of what is missing in those, in sentences.
    """

    config: SimulateConfig
    reference: Reference
    summary: dict[str, Any]
    molecules: MoleculeEnergies | None
    notes: tuple[str, ...]

    @property
    def blown_up_ps(self) -> float | None:
        """When the run stopped itself; the row that made it stop is not in its ledger."""
        step = self.summary.get("first_nonfinite_step")
        return None if step is None else step * self.config.timestep / FS_PER_PS


def read_openmm_run(path: Path, label: str) -> Run:
    """Read a run folder of OpenMM.

    Args:
        path: the folder that `fisher-mlip simulate` wrote or is still writing.
        label: name in tables and plots.

    Raises:
        InputError: a file that is missing or cannot be used, or fewer than 3 ledger rows of a run
            that did not end itself as unstable.
    """
    described = read_description(path, "ledger.csv")
    table = read_table(path / "ledger.csv")
    check_rows(len(table.values), table.path, described.blown_up_ps)
    last = int(table.values[-1, 0])
    torn = [torn_note(table.path)] if table.is_torn else []
    rewound = last_rewind(RunFolder(path)) * described.config.timestep / FS_PER_PS
    return Run(
        path,
        label,
        described.config,
        described.reference,
        _ledger(table, described.blown_up_ps),
        described.molecules,
        described.summary,
        (*progress_notes(last, described), *torn, *described.notes),
        tuple(read_alarms(path / "alarms.csv")),
        rewound if rewound > 0.0 else None,
    )


def read_description(path: Path, ledger: str) -> Description:
    """Read what a run folder of either engine holds besides its energies and its trajectory.

    Args:
        path: the folder.
        ledger: the file of its energies, which must be there.

    Raises:
        InputError: a file that is missing or cannot be used.
    """
    needed = ("config.yaml", "reference.json", ledger)
    missing = [name for name in needed if not (path / name).is_file()]
    if missing:
        raise InputError(f"expected a run folder holding {missing[0]} at '{path}', found none")
    config = read_config(path / "config.yaml", SimulateConfig)
    reference = read_reference(path / "reference.json")
    summary = _summary(path / SUMMARY_NAME)
    molecules, notes = _molecules(path, reference)
    return Description(config, reference, summary, molecules, notes)


def _summary(path: Path) -> dict[str, Any]:
    """Read what a run wrote at its end; nothing where it has not ended."""
    summary = read_json(path) if path.is_file() else {}
    step = summary.get("first_nonfinite_step")
    if step is not None and type(step) is not int:
        raise InputError(
            f"expected a step as 'first_nonfinite_step' in '{path}', found {step!r:.40}"
        )
    return summary


def check_rows(n_rows: int, path: Path, blown_up_ps: float | None) -> None:
    """Refuse fewer than 3 rows; of a run that ended itself as unstable one is enough.

    Raises:
        InputError: there are fewer.
    """
    fewest = MINIMUM_ROWS if blown_up_ps is None else 1
    if n_rows < fewest:
        raise InputError(f"expected at least {fewest} rows in '{path}', found {n_rows}")


def progress_notes(last: int, described: Description) -> list[str]:
    """Say how far the run is, where its last row is that of step `last`."""
    notes, config, summary = [], described.config, described.summary
    if not summary:
        notes.append(
            f"no {SUMMARY_NAME}: the run is still being written or was cut off; read to step {last}"
        )
    elif summary.get("status") not in (None, "finished"):
        ended = ENDINGS.get(str(summary["status"]), f"with status '{summary['status']}'")
        notes.append(f"the run ended {ended}")
    if last + config.report_interval <= config.steps:
        notes.append(f"the ledger ends at step {last} of {config.steps}")
    return notes


def torn_note(path: Path) -> str:
    """Say that the last line of a file is left out."""
    return f"{path.name} ends in a torn line, which is left out"


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
    symbols = content["symbols"]
    if not isinstance(symbols, list) or not all(isinstance(each, str) for each in symbols):
        raise InputError(f"expected a list of elements as 'symbols' in '{path}', found others")
    n_atoms = len(symbols)
    is_outside = ((bonds < 0) | (bonds >= n_atoms)).any()
    if molecule_index.shape != (n_atoms,) or is_outside:
        raise InputError(f"expected indices for {n_atoms} atoms in '{path}', found others")
    if not np.array_equal(np.unique(molecule_index), np.arange(n_molecules)):
        raise InputError(f"expected molecules 0 to {n_molecules - 1} in '{path}', found others")
    provenance = {
        key: value for key, value in content.items() if not isinstance(value, list | dict)
    }
    return Reference(tuple(symbols), molecule_index, n_molecules, bonds, provenance)


def _ledger(table: Table, blown_up_ps: float | None) -> Ledger:
    energies = {
        name.lower(): table.column(f"{name} Energy (kJ/mole)") / KJ_PER_MOL_PER_EV
        for name in ("Potential", "Kinetic", "Total")
    }
    elements = {
        name.removeprefix("Temperature ").removesuffix(" (K)"): table.column(name)
        for name in table.columns
        if name.startswith("Temperature ") and name != "Temperature (K)"
    }
    return finite_ledger(
        table.column("Time (ps)"),
        energies | {"temperature": table.column("Temperature (K)")},
        elements,
        table.column(_DENSITY) if _DENSITY in table.columns else None,
        blown_up_ps,
    )


def _molecules(path: Path, reference: Reference) -> tuple[MoleculeEnergies | None, tuple[str, ...]]:
    if not (path / "molecules.csv").is_file():
        return None, ()
    table = read_table(path / "molecules.csv")
    energy = table.values[:, 2:] / KJ_PER_MOL_PER_EV
    if energy.shape[1] != reference.n_molecules:
        raise InputError(
            f"expected {reference.n_molecules} molecules in '{table.path}', found {energy.shape[1]}"
        )
    notes = (torn_note(table.path),) if table.is_torn else ()
    if len(energy) < MINIMUM_ROWS:
        return None, (*notes, f"molecules.csv has fewer than {MINIMUM_ROWS} rows and is not used")
    return MoleculeEnergies(table.column("Time (ps)"), energy), notes
