"""The trajectory of a run, in chunks over all its segments, read by mdtraj."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import mdtraj
import numpy as np
from mdtraj.formats import DCDTrajectoryFile

from fisher_mlip.analysis.lammps_trajectory import dump_length, dump_start, lammps_chunks
from fisher_mlip.analysis.quiet import without_c_output
from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.segments import segments_of
from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.simulate.folder import PDB_FAILURES, no_pdb

ANGSTROM_PER_NM = 10.0
_ATOM_FRAMES_PER_CHUNK = 2_000_000
# Sizes in mdtraj's DCD: it refuses to open a file that holds no whole frame yet.
_HEADER_BYTES = 276
_BYTES_PER_ATOM = 12
_FRAME_OVERHEAD_BYTES = 80


def start_frame(run: Run) -> "mdtraj.Trajectory":
    """Return the topology with the positions that the run started from.

    Raises:
        InputError: there is none, or it is damaged or of another system.
    """
    if run.is_foreign:
        return dump_start(run)
    pdb = run.path / "topology.pdb"
    if not pdb.is_file():
        raise InputError(f"expected a file '{pdb}', found none")
    frame = _first_model(pdb)
    if frame.n_atoms != run.reference.n_atoms:
        raise InputError(
            f"expected {run.reference.n_atoms} atoms in '{pdb}', found {frame.n_atoms}"
        )
    return frame


def iterate_chunks(
    run: Run, size: int | None = None
) -> Iterator[tuple[FloatArray, "mdtraj.Trajectory"]]:
    """Yield (times in ps, trajectory of those frames) over all segments of a run.

    A last frame that was cut off is not yielded, nor are those of a segment that is missing.

    Args:
        run: of either engine.
        size: frames in a chunk; as many as memory holds with ease if None.

    Raises:
        InputError: the topology is missing, or a segment is no DCD, or a part no dump, of the
            system.
    """
    topology = start_frame(run).topology
    if size is None:
        size = max(1, _ATOM_FRAMES_PER_CHUNK // topology.n_atoms)
    if run.dump is not None:
        yield from lammps_chunks(run, topology, size)
        return
    one_frame = _HEADER_BYTES + _FRAME_OVERHEAD_BYTES + _BYTES_PER_ATOM * topology.n_atoms
    for segment in segments_of(run):
        path, n_before = segment.path, segment.first_frame
        try:
            for chunk in _chunks(path, topology, size):
                frames = n_before + 1 + np.arange(chunk.n_frames)
                n_before += chunk.n_frames
                yield frames * run.frame_interval_ps, chunk
        except (OSError, ValueError) as error:
            if not path.is_file() or path.stat().st_size < one_frame:
                continue
            reason = str(error).splitlines()[0]
            raise InputError(
                f"expected a DCD of {topology.n_atoms} atoms at '{path}', found: {reason}"
            ) from None


def count_frames(run: Run) -> int:
    """Return how many frames `iterate_chunks` yields, without reading them.

    Raises:
        InputError: as `segments_of`.
    """
    if run.dump is not None:
        return dump_length(run)
    return sum(segment.n_frames for segment in segments_of(run))


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


def _first_model(pdb: Path) -> "mdtraj.Trajectory":
    with warnings.catch_warnings():
        # mdtraj leaves a file open that it cannot read; it is closed with the failure.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            return mdtraj.load_pdb(str(pdb), standard_names=False)[0]
        except PDB_FAILURES as failure:
            refusal = no_pdb(pdb, failure)
    raise refusal


def _chunks(segment: Path, topology: "mdtraj.Topology", size: int) -> Iterator["mdtraj.Trajectory"]:
    with without_c_output():
        handle = DCDTrajectoryFile(str(segment))
    with handle:
        while len(chunk := handle.read_as_traj(topology, n_frames=size)):
            yield chunk
