"""Cuts what a killed run wrote after its last checkpoint, so that it can write it again."""

import shutil
import struct
from pathlib import Path
from typing import BinaryIO

from fisher_mlip.config import SimulateConfig
from fisher_mlip.errors import InputError
from fisher_mlip.products import whole_file
from fisher_mlip.simulate.folder import RunFolder

# First column of the rows that a reporter writes.
HEADER = b'#"Step"'
LONGEST_SHOWN = 40
# Where a DCD file written by mdtraj keeps its counts and whether its frames have a cell.
DCD_FRAMES_OFFSET = 8
DCD_STEPS_OFFSET = 20
DCD_CELL_FLAG_OFFSET = 48
LENGTH_BYTES = 4


def cut_rows(path: Path, step: int, interval: int) -> None:
    """Cut a CSV file of rows that begin with their step back to the rows up to `step`.

    Args:
        path: the file; what stands after the row of `step` may be torn or garbage.
        step: of the last row that may stay.
        interval: steps between rows; all of them up to `step` must be there.

    Raises:
        InputError: a row up to `step` is missing or is none.
    """
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    expected = [HEADER, *(b"%d" % row for row in range(0, step + 1, interval))]
    kept = lines[: len(expected)]
    for number, first in enumerate(expected):
        line = kept[number] if number < len(kept) else b""
        if not line.endswith(b"\n") or line.split(b",")[0] != first:
            raise InputError(
                f"expected {len(expected) - 1} rows up to the checkpoint at step {step} in "
                f"'{path}', found {max(number - 1, 0)} and then {_shown(line)} in line "
                f"{number + 1}: start the run anew"
            )
    with whole_file(path) as partial:
        partial.write_bytes(b"".join(kept))


def cut_tables(
    folder: RunFolder, config: SimulateConfig, step: int, *, has_molecules: bool
) -> None:
    """Cut all files of rows of a run back to a step.

    Args:
        folder: of the run.
        config: its intervals, and which files there are.
        step: of the last row that may stay.
        has_molecules: whether there is a file of molecules' energies.

    Raises:
        InputError: a row up to `step` is missing or is none.
    """
    intervals = {folder.ledger: config.report_interval}
    if has_molecules:
        intervals[folder.molecules] = config.report_interval
    if config.uncertainty_interval:
        intervals[folder.uncertainty] = config.uncertainty_interval
    if config.watch.enabled:
        intervals[folder.watch] = config.watch.interval
    for path, interval in intervals.items():
        cut_rows(path, step, interval)


def _shown(line: bytes) -> str:
    """Return a line as a message can hold it."""
    return repr(line[:LONGEST_SHOWN].decode(errors="replace")) if line else "nothing"


def cut_trajectory(path: Path, frames: int) -> None:
    """Cut a DCD file back to its first frames, byte by byte the same.

    Args:
        path: the file; its last frame may be torn.
        frames: how many may stay; the file is deleted when none does.

    Raises:
        InputError: the file holds fewer frames.
    """
    if frames == 0:
        path.unlink(missing_ok=True)
        return
    header, frame = _record_sizes(path)
    end = header + frames * frame
    size = path.stat().st_size
    if size < end:
        raise InputError(
            f"expected {frames} frames up to the checkpoint in '{path}', found "
            f"{(size - header) // frame}: start the run anew"
        )
    with whole_file(path) as partial:
        shutil.copyfile(path, partial)
        with partial.open("r+b") as handle:
            handle.truncate(end)
            for offset in (DCD_FRAMES_OFFSET, DCD_STEPS_OFFSET):
                handle.seek(offset)
                handle.write(struct.pack("=i", frames))


def _record_sizes(path: Path) -> tuple[int, int]:
    """Return the bytes of a DCD file's header and of each of its frames."""
    try:
        with path.open("rb") as handle:
            control, _, atoms = (_read_record(handle) for _ in range(3))
            header = handle.tell()
        (has_cell,) = struct.unpack_from("=i", control, DCD_CELL_FLAG_OFFSET - LENGTH_BYTES)
        (n_atoms,) = struct.unpack("=i", atoms)
    except (OSError, struct.error) as failure:
        raise InputError(f"expected a DCD trajectory in '{path}', found: {failure}") from failure
    cell = 6 * 8 + 2 * LENGTH_BYTES if has_cell else 0
    return header, cell + 3 * (4 * n_atoms + 2 * LENGTH_BYTES)


def _read_record(handle: BinaryIO) -> bytes:
    """Return a Fortran record, which stands between two copies of its length."""
    (length,) = struct.unpack("=i", handle.read(LENGTH_BYTES))
    record = handle.read(length)
    handle.read(LENGTH_BYTES)
    return record
