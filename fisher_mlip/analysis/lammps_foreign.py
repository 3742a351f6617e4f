"""Any LAMMPS run, a log and perhaps a dump -> `Run`: what it was is read from both."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fisher_mlip.analysis.lammps_commands import Settings
from fisher_mlip.analysis.lammps_dump import first_frame, read_index
from fisher_mlip.analysis.lammps_log import (
    Block,
    LammpsLog,
    blow_up_of,
    check_columns,
    joined,
    ledger_of,
    read_log,
)
from fisher_mlip.analysis.run import Dump, DumpPart, Reference, Run
from fisher_mlip.analysis.run_folder import MINIMUM_ROWS, check_rows, torn_note
from fisher_mlip.config import SimulateConfig, parse_config
from fisher_mlip.data.bonds import BOND_REACH, bonds_by_distance
from fisher_mlip.data.frames import FloatArray, Frame, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.lammps.outcome import Failure, find_failure

# Relative change of the energy between two runs, below which the second goes on with the first.
_SAME_ENERGY = 1e-6


@dataclass(frozen=True)
class _Group:
    """Runs of a log, one going on with the other.

    Attributes:
        first, count: number of the first of them, from 1, and how many they are.
        start: what was set when the first began.
        block: their rows.
        is_last: whether none comes after them.
    """

    first: int
    count: int
    start: Settings
    block: Block
    is_last: bool

    @property
    def end(self) -> int:
        """Number of the last of them."""
        return self.first + self.count - 1

    @property
    def first_step(self) -> int:
        return int(self.block.steps[0])

    @property
    def last_step(self) -> int:
        return int(self.block.steps[-1])


def find_log(path: Path) -> Path | None:
    """Return the log of a folder: log.lammps, or the only *.log or log.*; None if there is none.

    Raises:
        InputError: there are several.
    """
    if (path / "log.lammps").is_file():
        return path / "log.lammps"
    found = [file for pattern in ("*.log", "log.*") for file in path.glob(pattern)]
    logs = sorted(file for file in set(found) if file.is_file())
    if len(logs) > 1:
        names = ", ".join(log.name for log in logs)
        raise InputError(
            f"expected one log or log.lammps in '{path}', found {names}: move the others elsewhere"
        )
    return logs[0] if logs else None


def read_foreign_run(path: Path, log_path: Path, label: str) -> Run:
    """Read a LAMMPS run that has no config.yaml.

    Of several runs in a log, the last ones that go on with each other under the same settings are
    read; times count from their first step.

    Args:
        path: the folder.
        log_path: its log, in `units metal` or `real`.
        label: name in tables and plots.

    Raises:
        InputError: the log does not tell what is needed, has fewer than 3 rows, or the dump does
            not tell the elements.
    """
    log = read_log(log_path)
    failure = find_failure(log_path, path / "screen.txt")
    blown_up = blow_up_of(failure)
    group = _group(log, is_blown_up=bool(blown_up))
    check_rows(len(group.block.values), log_path, 0.0 if blown_up else None)
    dump_path = _find_dump(path, log)
    reference = _reference(log, group, dump_path)
    config = _config(group, dump_path, path)
    ledger = ledger_of(
        group.block,
        timestep_fs=config.timestep,
        origin_step=group.first_step,
        symbols=reference.symbols,
        n_atoms=reference.n_atoms,
        is_periodic=_is_periodic(group, dump_path),
        blown_up_ps=None,
    )
    last = None if group.is_last else group.last_step
    parts = () if dump_path is None else (DumpPart(dump_path, group.first_step, last),)
    return Run(
        path,
        label,
        config,
        reference,
        ledger,
        molecules=None,
        summary={},
        notes=_notes(log, group, dump_path, failure),
        dump=Dump(parts, group.first_step),
        is_foreign=True,
        failure=blown_up,
    )


def _group(log: LammpsLog, *, is_blown_up: bool) -> _Group:
    """Return the last runs that belong together and have rows enough, or those that blew up."""
    groups: list[list[Block]] = []
    before: Block | None = None
    for block in log.blocks:
        if block.settings.is_run:
            if before is not None and before.settings.is_run and _goes_on(before, block):
                groups[-1].append(block)
            else:
                groups.append([block])
        before = block
    if not groups:
        failure = find_failure(log.path, log.path.with_name("screen.txt"))
        found = f"the error: {failure.message}" if failure is not None else "none"
        raise InputError(f"expected the rows of a 'run' in '{log.path}', found {found}")
    sizes = [sum(len(block.values) for block in blocks) for blocks in groups]
    enough = [k for k, size in enumerate(sizes) if size >= MINIMUM_ROWS]
    chosen = enough[-1] if enough and not is_blown_up else len(groups) - 1
    blocks, first = groups[chosen], 1 + sum(len(earlier) for earlier in groups[:chosen])
    check_columns(blocks, log.path)
    rows = joined(blocks, [(-np.inf, np.inf)] * len(blocks))
    return _Group(first, len(blocks), blocks[0].settings, rows, chosen == len(groups) - 1)


def _goes_on(before: Block, block: Block) -> bool:
    """Return whether a run starts in the state that the one before it ended in, and likewise."""
    if before.columns != block.columns or not {"Step", "TotEng"} <= set(block.columns):
        return False
    if before.steps[-1] != block.steps[0]:
        return False
    last, first = (
        part.values[row, part.columns.index("TotEng")] for part, row in ((before, -1), (block, 0))
    )
    is_same = np.isclose(first, last, rtol=_SAME_ENERGY, atol=0.0, equal_nan=True)
    return bool(is_same) and _kind(before.settings) == _kind(block.settings)


def _kind(settings: Settings) -> tuple[Any, ...]:
    ensemble, units = settings.find_ensemble(), (settings.units, settings.is_per_atom)
    return ensemble, settings.timestep, settings.bath, units


def _find_dump(path: Path, log: LammpsLog) -> Path | None:
    """Return the only dump, or of several the one that the log names."""
    found = [*path.glob("*.lammpstrj"), *path.glob("*.dump")]
    dumps = sorted(file for file in found if file.is_file())
    if len(dumps) > 1:
        named = {Path(name).name for name in log.blocks[-1].settings.dumps.values()}
        chosen = [file for file in dumps if file.name in named]
        if len(chosen) != 1:
            names = ", ".join(file.name for file in dumps)
            raise InputError(f"expected one dump in '{path}', found {names}")
        return chosen[0]
    return dumps[0] if dumps else None


def _reference(log: LammpsLog, group: _Group, dump: Path | None) -> Reference:
    settings = group.block.settings
    told = {"log": log.path.name, "LAMMPS": log.version, "pair_style": settings.pair_style}
    if dump is None:
        if log.n_atoms is None:
            raise InputError(
                f"expected the number of atoms in '{log.path}', in a line 'Loop time of ... with "
                "... atoms' or 'Created ... atoms', found none"
            )
        empty = np.zeros(0, dtype=np.int64)
        symbols = ("X",) * log.n_atoms
        return Reference(symbols, empty, 0, empty.reshape(0, 2), told)
    frame = first_frame(dump)
    _check_elements(frame, log, group, dump)
    bonds = bonds_by_distance(frame)
    links = coo_array((np.ones(len(bonds)), bonds.T), shape=(frame.n_atoms, frame.n_atoms))
    n_molecules, index = connected_components(links, directed=False)
    symbols = tuple(chemical_symbols[number] for number in frame.atomic_numbers)
    told |= {"dump": dump.name, "bonds_from": "distances in the first frame of the dump"}
    return Reference(symbols, np.asarray(index, dtype=np.int64), int(n_molecules), bonds, told)


def _is_periodic(group: _Group, dump: Path | None) -> bool:
    """Return whether all directions are; a restart file sets that without a command."""
    first = None if dump is None else read_index(dump).first
    if first is not None:
        return bool(first.is_periodic.all())
    return all(word == "p" for word in group.block.settings.boundary)


def _check_elements(frame: Frame, log: LammpsLog, group: _Group, dump: Path) -> None:
    if log.n_atoms is not None and log.n_atoms != frame.n_atoms:
        raise InputError(
            f"expected the {log.n_atoms} atoms of '{log.path}' in '{dump}', found {frame.n_atoms}: "
            "dump the group all"
        )
    # Without dump_modify, LAMMPS calls every atom carbon.
    is_carbon = bool((frame.atomic_numbers == 6).all())
    if is_carbon and not group.block.settings.names_elements:
        raise InputError(
            f"expected 'dump_modify ID element C H O', a symbol a type, among the commands of "
            f"'{log.path}', found none: LAMMPS then calls every atom of '{dump}' C"
        )


def _config(group: _Group, dump: Path | None, path: Path) -> SimulateConfig:
    settings = group.block.settings
    known: dict[str, Any] = {
        "engine": "lammps",
        "model": "",
        "system": path.resolve().name if dump is None else dump.name,
        "ensemble": settings.ensemble,
        "temperature": _temperature(group)[0],
        "timestep": settings.timestep_fs,
        "steps": max(1, group.last_step - group.first_step),
        "report_interval": _interval(group.block.steps),
    }
    if dump is not None:
        part = DumpPart(dump, group.first_step, None if group.is_last else group.last_step)
        index = read_index(dump)
        steps = index.steps[slice(*index.counted(part))]
        known["trajectory_interval"] = _interval(np.array([group.first_step, *steps]))
    return parse_config(known, SimulateConfig, f"what '{path}' tells of the run")


def _temperature(group: _Group) -> tuple[float, str]:
    """Return K of the bath, or else at the start, and where that is from."""
    if group.start.bath is not None:
        return group.start.bath
    if group.start.velocity_temperature is not None:
        return group.start.velocity_temperature, "velocity create"
    return float(group.block.values[0, group.block.columns.index("Temp")]), "its first row"


def _interval(steps: FloatArray | IntArray) -> int:
    """Return the most frequent difference; ends of runs lie between."""
    differences = Counter(np.diff(steps).astype(np.int64).tolist())
    return int(differences.most_common(1)[0][0]) if differences else 1


def _notes(
    log: LammpsLog, group: _Group, dump: Path | None, failure: Failure | None
) -> tuple[str, ...]:
    settings = group.block.settings
    fixes = ", ".join(style[0] for style in settings.fixes.values())
    temperature, source = _temperature(group)
    which = (
        f"run {group.first} is" if group.count == 1 else f"runs {group.first} to {group.end} are"
    )
    what = (
        f"inferred from {log.path.name}: units {settings.units}, {settings.ensemble.upper()} (fix "
        f"{fixes}), timestep {settings.timestep_fs:g} fs, {temperature:g} K by {source}; "
        f"{which} analyzed, and times count from step {group.first_step}"
    )
    if dump is None:
        notes = [f"{what}; without a dump (*.lammpstrj or *.dump) only energies are analyzed"]
    else:
        notes = [
            f"{what}; elements and bonds (nonmetals closer than {BOND_REACH:g} times their "
            f"covalent radii) are those of the first frame of {dump.name}"
        ]
    if not group.is_last:
        notes.append(f"later runs in {log.path.name} have fewer than {MINIMUM_ROWS} rows each")
    if not group.block.is_ended and failure is None:
        notes.append(
            f"{log.path.name} does not come to the end of the run: it is still being written or "
            f"was cut off; read to step {group.last_step}"
        )
    if failure is not None and not blow_up_of(failure):
        notes.append(f"LAMMPS ended with '{failure.message}'")
    if log.is_torn:
        notes.append(torn_note(log.path))
    return tuple(notes)
