"""Which files hold the trajectory of a run, and which of its frames each of them begins with."""

import re
from dataclasses import dataclass
from pathlib import Path

from mdtraj.formats import DCDTrajectoryFile

from fisher_mlip.analysis.quiet import without_c_output
from fisher_mlip.analysis.run import Run
from fisher_mlip.errors import InputError
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.records import CheckpointRecord


@dataclass(frozen=True)
class Segment:
    """A file of the trajectory.

    Attributes:
        path: a DCD file; it may be missing.
        first_frame: frames of the run before it; frame k is step (k + 1) `trajectory_interval`.
        n_recorded: frames that it must hold.
        is_last: whether it may hold more of them.
        model: folder in the run folder of the healed model that made it; "": the run's own.
    """

    path: Path
    first_frame: int
    n_recorded: int
    is_last: bool
    model: str = ""

    @property
    def n_frames(self) -> int:
        """Whole frames in the file."""
        try:
            return dcd_size(self.path)[0]
        except InputError:
            return 0


def segments_of(run: Run) -> list[Segment]:
    """Return the segments of a run in the order in which they were written.

    They are those of its record; where that was not kept, the files follow each other.

    Raises:
        InputError: the record is no record, a segment runs into the next, or there is no record
            and the first segments are missing.
    """
    record = RunFolder(run.path).record
    segments = _recorded(run, record) if record.is_file() else _found(run)
    for segment in segments:
        if segment.n_frames > segment.n_recorded and not segment.is_last:
            raise InputError(
                f"expected {segment.n_recorded} frames in '{segment.path}', as {record.name} has "
                f"it, found {segment.n_frames}"
            )
    return segments


def trajectory_notes(run: Run) -> tuple[str, ...]:
    """Return what is missing from the trajectory and what does not belong to it, in sentences."""
    segments, record = segments_of(run), RunFolder(run.path).record.name
    short = [
        f"{segment.path.name} holds {segment.n_frames} of the {segment.n_recorded} frames that "
        f"{record} has: nothing is known of the times of the others"
        for segment in segments
        if segment.n_frames < segment.n_recorded
    ]
    own = {segment.path for segment in segments}
    extra = [
        f"{path.name} is no segment in {record} and is not read"
        for path in _files(run.path)
        if path not in own
    ]
    return (*short, *extra)


def dcd_size(path: Path) -> tuple[int, int]:
    """Return the numbers of frames and of atoms in a DCD file.

    Raises:
        InputError: it is no DCD, or holds no whole frame.
    """
    try:
        with without_c_output():
            handle = DCDTrajectoryFile(str(path))
        with handle:
            return len(handle), int(handle.read(n_frames=1)[0].shape[1])
    except (OSError, ValueError, IndexError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"expected a DCD with a whole frame at '{path}', found: {reason}"
        ) from None


def _recorded(run: Run, record: Path) -> list[Segment]:
    content, interval = CheckpointRecord.read(record), run.config.trajectory_interval
    entries, last = content.segments, content.segments[-1].file
    steps = [*(entry.first_step for entry in entries), content.step]
    starts = [step // interval for step in steps]
    return [
        Segment(run.path / entry.file, start, max(0, end - start), entry.file == last, entry.model)
        for entry, start, end in zip(entries, starts[:-1], starts[1:], strict=True)
    ]


def _found(run: Run) -> list[Segment]:
    files = _files(run.path)
    numbers = [_number(path) for path in files]
    if numbers != list(range(1, len(files) + 1)):
        raise InputError(
            f"expected {RunFolder(run.path).record.name} or the trajectory from its first segment "
            f"on in '{run.path}', found {files[0].name}"
        )
    segments: list[Segment] = []
    start = 0
    for path in files:
        segments.append(Segment(path, start, 0, True))
        start += segments[-1].n_frames
    return segments


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder that are named as segments, in their order."""
    return sorted(filter(_number, folder.glob("trajectory*.dcd")), key=_number)


def _number(path: Path) -> int:
    match = re.fullmatch(r"trajectory(?:\.part(\d+))?\.dcd", path.name)
    if match is None:
        return 0
    return int(match.group(1) or 1)
