"""The dump of a LAMMPS run -> chunks of mdtraj, whose frames have the times of their steps."""

from collections.abc import Iterator
from pathlib import Path

import mdtraj
import numpy as np
from mdtraj.formats import LAMMPSTrajectoryFile

from fisher_mlip.analysis.lammps_dump import read_index
from fisher_mlip.analysis.run import DumpPart, Run
from fisher_mlip.data.frames import BoolArray, FloatArray, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.units import FS_PER_PS

# nm between a system and its image, in directions that have no images.
_APART = 10.0
_Chunk = tuple[FloatArray, "mdtraj.Trajectory"]


def lammps_chunks(run: Run, topology: "mdtraj.Topology", size: int) -> Iterator[_Chunk]:
    """Yield (times in ps, trajectory of those frames) over all parts of a dump.

    Frames that belong to the step with which a part begins, or that a later part has again, are
    left out, and so is a last one that was cut off.

    Args:
        run: of LAMMPS.
        topology: of its atoms.
        size: frames in a chunk.

    Raises:
        InputError: a part cannot be read, or is of another system.
    """
    for part in _parts(run):
        index = read_index(part.path)
        begin, end = index.counted(part)
        if index.first is None or begin == end:
            continue
        is_periodic = _periodic(run, index.first.is_periodic)
        with LAMMPSTrajectoryFile(str(part.path)) as handle:
            for _ in range(begin):
                # mdtraj has no way past a frame but to read it.
                _read(handle, topology, 1, part.path)
            for start in range(begin, end, size):
                chunk = _read(handle, topology, min(size, end - start), part.path)
                times = _times(run, index.steps[start : start + chunk.n_frames])
                yield times, _with_cell(chunk, is_periodic)


def dump_length(run: Run) -> int:
    """Return how many frames of a dump count."""
    ranges = [read_index(part.path).counted(part) for part in _parts(run)]
    return sum(end - begin for begin, end in ranges)


def dump_start(run: Run) -> "mdtraj.Trajectory":
    """Return the first frame of a dump with a topology of its own, a residue a molecule.

    Raises:
        InputError: there is none.
    """
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    reference = run.reference
    residues = [topology.add_residue("MOL", chain) for _ in range(reference.n_molecules)]
    for symbol, molecule in zip(reference.symbols, reference.molecule_index, strict=True):
        kind = mdtraj.element.get_by_symbol(symbol)
        topology.add_atom(symbol, kind, residues[int(molecule)])
    for part in _parts(run):
        first = read_index(part.path).first
        if first is not None:
            with LAMMPSTrajectoryFile(str(part.path)) as handle:
                frame = _read(handle, topology, 1, part.path)
            return _with_cell(frame, _periodic(run, first.is_periodic))
    raise InputError(f"expected a dump with a whole frame in '{run.path}', found none")


def dump_notes(run: Run) -> tuple[str, ...]:
    """Return what is missing from a dump, in sentences."""
    notes = []
    interval = run.config.trajectory_interval
    for part in _parts(run):
        index = read_index(part.path)
        begin, end = index.counted(part)
        if not part.path.is_file():
            notes.append(f"{part.path.name} is missing")
        elif part.last_step is not None and not run.is_foreign:
            expected = part.last_step // interval - part.first_step // interval
            if end - begin < expected:
                notes.append(f"{part.path.name} holds {end - begin} of its {expected} frames")
        if index.is_torn:
            notes.append(f"{part.path.name} ends in a torn frame, which is left out")
    return tuple(notes)


def _parts(run: Run) -> tuple[DumpPart, ...]:
    return run.dump.parts if run.dump is not None else ()


def _periodic(run: Run, boundaries: BoolArray) -> BoolArray:
    """Return which directions have images; a run of ours says whether its box means something."""
    return boundaries & bool(run.reference.provenance.get("periodic", True))


def _times(run: Run, steps: IntArray) -> FloatArray:
    origin = run.dump.origin_step if run.dump is not None else 0
    return np.asarray((steps - origin) * run.config.timestep / FS_PER_PS)


def _read(
    handle: LAMMPSTrajectoryFile, topology: "mdtraj.Topology", n_frames: int, path: Path
) -> "mdtraj.Trajectory":
    """Return the next frames, which the index has found to be there; mdtraj makes Å nm."""
    try:
        return handle.read_as_traj(topology, n_frames=n_frames)
    except (OSError, ValueError, IndexError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"expected a dump of {topology.n_atoms} atoms at '{path}', found: {reason}"
        ) from None


def _with_cell(chunk: "mdtraj.Trajectory", is_periodic: BoolArray) -> "mdtraj.Trajectory":
    """Return frames whose minimum images are those of periodic directions."""
    if not is_periodic.any():
        chunk.unitcell_vectors = None
    elif not is_periodic.all():
        # A direction without images has no tilt in LAMMPS, so that its length is free.
        lengths = np.array(chunk.unitcell_lengths)
        extent = np.ptp(chunk.xyz, axis=(0, 1)).max()
        lengths[:, ~is_periodic] = extent + _APART
        chunk.unitcell_lengths = lengths
    return chunk
