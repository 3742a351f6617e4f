"""The trajectory of a run, in chunks over all its segments, read by mdtraj."""

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mdtraj
import numpy as np
from mdtraj.formats import DCDTrajectoryFile

from fisher_mlip.analysis.run import Run
from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.errors import InputError

ANGSTROM_PER_NM = 10.0
_ATOM_FRAMES_PER_CHUNK = 2_000_000
# Sizes in mdtraj's DCD: it refuses to open a file that holds no whole frame yet.
_HEADER_BYTES = 276
_BYTES_PER_ATOM = 12
_FRAME_OVERHEAD_BYTES = 80


def segments(folder: Path) -> list[Path]:
    """Return the trajectory's files in the order in which they were written."""
    files = folder.glob("trajectory*.dcd")
    numbered = {path: _segment_number(path) for path in files}
    return sorted((path for path in numbered if numbered[path]), key=lambda path: numbered[path])


def start_frame(run: Run) -> "mdtraj.Trajectory":
    """Return the topology with the positions that the run started from.

    Raises:
        InputError: there is none, or it is of another system.
    """
    pdb = run.path / "topology.pdb"
    if not pdb.is_file():
        raise InputError(f"expected a file '{pdb}', found none")
    frame = mdtraj.load_pdb(str(pdb), standard_names=False)[0]
    if frame.n_atoms != run.reference.n_atoms:
        raise InputError(
            f"expected {run.reference.n_atoms} atoms in '{pdb}', found {frame.n_atoms}"
        )
    return frame


def iterate_chunks(run: Run) -> Iterator[tuple[FloatArray, "mdtraj.Trajectory"]]:
    """Yield (times in ps, trajectory of those frames) over all segments of a run.

    Frame k of the concatenated segments is step (k + 1) `trajectory_interval`. A last frame that
    was cut off is not yielded.

    Raises:
        InputError: the topology is missing, or a segment is no DCD or of another system.
    """
    topology = start_frame(run).topology
    size = max(1, _ATOM_FRAMES_PER_CHUNK // topology.n_atoms)
    one_frame = _HEADER_BYTES + _FRAME_OVERHEAD_BYTES + _BYTES_PER_ATOM * topology.n_atoms
    n_before = 0
    for segment in segments(run.path):
        try:
            for chunk in _chunks(segment, topology, size):
                frames = n_before + 1 + np.arange(chunk.n_frames)
                n_before += chunk.n_frames
                yield frames * run.frame_interval_ps, chunk
        except (OSError, ValueError) as error:
            if segment.stat().st_size < one_frame:
                continue
            reason = str(error).splitlines()[0]
            raise InputError(
                f"expected a DCD of {topology.n_atoms} atoms at '{segment}', found: {reason}"
            ) from None


def distances(chunk: "mdtraj.Trajectory", pairs: IntArray) -> FloatArray:
    """Return pair distances, minimum image where the frames have a cell.

    Args:
        chunk: frames.
        pairs: (n_pairs, 2), atom indices.

    Returns:
        (n_frames, n_pairs), Å; not finite where positions are not.
    """
    is_periodic = chunk.unitcell_lengths is not None
    with np.errstate(all="ignore"):
        lengths = mdtraj.compute_distances(chunk, pairs, periodic=is_periodic)
        return np.asarray(lengths, dtype=np.float64) * ANGSTROM_PER_NM


def dcd_size(path: Path) -> tuple[int, int]:
    """Return the numbers of frames and of atoms in a DCD file.

    Raises:
        InputError: it is no DCD, or holds no whole frame.
    """
    try:
        with _without_c_output():
            handle = DCDTrajectoryFile(str(path))
        with handle:
            return len(handle), int(handle.read(n_frames=1)[0].shape[1])
    except (OSError, ValueError, IndexError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"expected a DCD with a whole frame at '{path}', found: {reason}"
        ) from None


def _chunks(segment: Path, topology: "mdtraj.Topology", size: int) -> Iterator["mdtraj.Trajectory"]:
    with _without_c_output():
        handle = DCDTrajectoryFile(str(segment))
    with handle:
        while len(chunk := handle.read_as_traj(topology, n_frames=size)):
            yield chunk


@contextmanager
def _without_c_output() -> Iterator[None]:
    """Drop what C code prints: mdtraj's DCD reader prints what it found to standard output."""
    sys.stdout.flush()
    standard_output = os.dup(1)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        # C buffers what it printed; it must leave the buffer while it still goes nowhere.
        ctypes.CDLL(None).fflush(None)
        os.dup2(standard_output, 1)
        os.close(standard_output)


def _segment_number(path: Path) -> int:
    match = re.fullmatch(r"trajectory(?:\.part(\d+))?\.dcd", path.name)
    if match is None:
        return 0
    return int(match.group(1) or 1)
