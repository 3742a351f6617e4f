"""A run folder of `fisher-mlip simulate --engine lammps` -> `Run`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fisher_mlip.analysis.lammps_log import (
    Block,
    LammpsLog,
    blow_up_of,
    check_columns,
    joined,
    ledger_of,
    read_log,
)
from fisher_mlip.analysis.run import Dump, DumpPart, Run
from fisher_mlip.analysis.run_folder import (
    check_rows,
    progress_notes,
    read_description,
    torn_note,
)
from fisher_mlip.errors import InputError
from fisher_mlip.lammps.folder import LammpsFolder
from fisher_mlip.lammps.outcome import Failure, find_failure
from fisher_mlip.simulate.records import CheckpointRecord
from openmm_plugin.watch import read_alarms

_NAMES = re.compile(r"(trajectory|log)(?:\.part(\d{4,}))?\.(?:lammpstrj|lammps)")


@dataclass(frozen=True)
class _Part:
    """What was written between a start or a resume and the next: its files and its steps."""

    number: int
    log: Path
    dump: DumpPart


def read_lammps_run(path: Path, label: str) -> Run:
    """Read a run folder of LAMMPS.

    Steps that a later part has again, because the run was killed after its last restart file, are
    taken from the later one.

    Args:
        path: the folder that `fisher-mlip simulate` wrote or is still writing.
        label: name in tables and plots.

    Raises:
        InputError: a file that is missing or cannot be used, or fewer than 3 rows of a run that
            did not end itself as unstable.
    """
    folder = LammpsFolder(path)
    first_log = folder.log(1)
    described = read_description(path, first_log.name)
    config, reference = described.config, described.reference
    parts = _parts(path)
    logs = [read_log(part.log) for part in parts if part.log.is_file()]
    block, blown_up = _rows(parts, logs, path), described.blown_up_ps
    failure = find_failure(logs[-1].path, folder.screen)
    check_rows(len(block.values), first_log, blown_up)
    ledger = ledger_of(
        block,
        timestep_fs=config.timestep,
        origin_step=0,
        symbols=reference.symbols,
        n_atoms=reference.n_atoms,
        is_periodic=bool(reference.provenance.get("periodic", True)),
        blown_up_ps=blown_up,
    )
    notes = progress_notes(int(block.steps[-1]), described)
    return Run(
        path,
        label,
        config,
        reference,
        ledger,
        described.molecules,
        described.summary,
        (*notes, *_notes(parts, logs, failure, path), *described.notes),
        tuple(read_alarms(path / "alarms.csv")),
        dump=Dump(tuple(part.dump for part in parts)),
        failure=blow_up_of(failure),
    )


def _parts(path: Path) -> list[_Part]:
    """Return the parts of a run: those of its record, or those that are there without one."""
    folder = LammpsFolder(path)
    record = folder.record
    if record.is_file():
        segments = CheckpointRecord.read(record).segments
        names = [(_number(segment.file), segment.first_step) for segment in segments]
        if any(number == 0 for number, _ in names):
            raise InputError(
                f"expected files named trajectory.part0002.lammpstrj and the like in '{record}', "
                f"found {', '.join(segment.file for segment in segments)}"
            )
    else:
        numbers = sorted({_number(file.name) for file in path.iterdir()} - {0})
        found = [(number, _first_step(folder.log(number))) for number in numbers]
        names = [(number, first) for number, first in found if first is not None]
    firsts = [first for _, first in names]
    lasts = [*firsts[1:], None]
    # A part that began before the one in front of it would take that one's frames.
    if firsts != sorted(firsts):
        raise InputError(
            f"expected parts that begin one after the other in '{path}', found {firsts}"
        )
    return [
        _Part(number, folder.log(number), DumpPart(folder.segment(number), first, last))
        for (number, first), last in zip(names, lasts, strict=True)
    ]


def _rows(parts: Sequence[_Part], logs: Sequence[LammpsLog], path: Path) -> Block:
    by_path = {log.path: log.blocks for log in logs}
    blocks: list[Block] = []
    bounds: list[tuple[float, float]] = []
    for part in parts:
        own = by_path.get(part.log, ())
        check_columns(own, part.log)
        if own and own[0].steps[0] != part.dump.first_step:
            raise InputError(
                f"expected rows from step {part.dump.first_step} on in '{part.log}', found "
                f"{own[0].steps[0]:.0f}"
            )
        # The first row of a later part is the last one before it, once more.
        low = part.dump.first_step + (1 if part.dump.first_step else 0)
        high = np.inf if part.dump.last_step is None else part.dump.last_step
        blocks += own
        bounds += [(low, high)] * len(own)
    if not blocks:
        raise InputError(f"expected rows of a run in '{LammpsFolder(path).log(1)}', found none")
    return joined(blocks, bounds)


def _first_step(log: Path) -> int | None:
    """Return the step of a log's first row, which is that with which its part begins."""
    blocks = read_log(log).blocks if log.is_file() else ()
    check_columns(blocks[:1], log)
    return int(blocks[0].steps[0]) if blocks else None


def _notes(
    parts: Sequence[_Part], logs: Sequence[LammpsLog], failure: Failure | None, path: Path
) -> list[str]:
    notes = [torn_note(log.path) for log in logs if log.is_torn]
    notes += [f"{part.log.name} is missing" for part in parts if not part.log.is_file()]
    if failure is not None and not blow_up_of(failure):
        notes.append(f"LAMMPS ended with '{failure.message}'")
    own = {part.number for part in parts} | {0}
    notes += [
        f"{file.name} is no part in {LammpsFolder(path).record.name} and is not read"
        for file in sorted(path.iterdir())
        if _number(file.name) not in own
    ]
    return notes


def _number(name: str) -> int:
    """Return the number of a part, 0 of another file."""
    match = _NAMES.fullmatch(name)
    return 0 if match is None else int(match.group(2) or 1)
