"""Uncertainty along a trajectory, from the sampled heads of the model that made each frame."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.segments import Segment, segments_of
from fisher_mlip.analysis.trajectory import count_frames, iterate_chunks
from fisher_mlip.data.frames import FloatArray, Frame, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, load_artefact
from fisher_mlip.export.lammps_artefact import (
    LammpsArtefact,
    lammps_force_uncertainty,
    load_lammps_artefact,
)
from fisher_mlip.export.potential import choose_kernel
from fisher_mlip.products import sha256_of_file
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.healing import healed_models
from fisher_mlip.units import KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM, NM_PER_ANGSTROM
from openmm_plugin.uncertainty import force_uncertainty as force_uncertainty_of

# Independent molecules are looked at one by one: as many as this tell the rest.
MAX_MOLECULES = 32

Spread = Callable[[IntArray, FloatArray, FloatArray | None], FloatArray]


@dataclass(frozen=True, eq=False)
class ForceUncertainty:
    """Standard deviation of the force vector of each atom, eV/Å, at some frames of a run.

    Attributes:
        time_ps: (n_frames,).
        median: (n_frames,), over atoms.
        largest: (n_frames,), over atoms; NaN where positions are not finite.
        n_atoms: atoms looked at.
        healed: models, as folders in the run folder, that a run was healed by and that made frames.
    """

    time_ps: FloatArray
    median: FloatArray
    largest: FloatArray
    n_atoms: int
    healed: tuple[str, ...] = ()


def force_uncertainty(run: Run, n_frames: int) -> ForceUncertainty:
    """Evaluate the model on evenly spaced frames of a trajectory, each by that which made it.

    A frame costs about as many steps as there are sampled heads.

    Args:
        run: with a trajectory, and an exported model where it was when the run was made.
        n_frames: at most this many, at least one.

    Raises:
        InputError: a model is no longer there, is another one by now, or carries no sampled
            heads; nobody knows which model made a frame; or there is no frame.
    """
    if not run.config.model:
        raise InputError("the run's log names no model of ours")
    atoms, segments = _atoms(run), _segments(run)
    # Before anything is read: a model that is gone or has no heads is told at once.
    spreads = {model: _spread_of(run, model) for model in _models(segments)}
    numbers = np.array([atomic_numbers[run.reference.symbols[i]] for i in atoms])
    times, rows, used = [], [], []
    for time, positions, box in _chosen_frames(run, atoms, n_frames):
        model = _model_at(run, time, segments)
        used.append(model)
        times.append(time)
        rows.append(spreads[model](numbers, positions, box))
    if not rows:
        raise InputError("the trajectory holds no whole frame")
    spread = np.array(rows)
    healed = tuple(model for model in dict.fromkeys(used) if model)
    return ForceUncertainty(
        np.array(times), np.median(spread, axis=1), spread.max(axis=1), len(atoms), healed
    )


def _segments(run: Run) -> list[Segment]:
    """Return the files of the trajectory; none of a dump, whose run has one model."""
    if run.dump is not None:
        return []
    folder = RunFolder(run.path)
    if healed_models(folder) and not folder.record.is_file():
        raise InputError(
            f"expected '{folder.record}', which knows the model of each frame of a healed run, "
            "found none"
        )
    return segments_of(run)


def _models(segments: Sequence[Segment]) -> list[str]:
    """Return the models of a trajectory, each once."""
    return list(dict.fromkeys(segment.model for segment in segments)) or [""]


def _model_at(run: Run, time_ps: float, segments: Sequence[Segment]) -> str:
    """Return the folder of the healed model that made a frame; "" for the run's own."""
    frame = round(time_ps / run.frame_interval_ps) - 1
    models = [segment.model for segment in segments if segment.first_frame <= frame]
    return models[-1] if models else ""


def _spread_of(run: Run, model: str) -> Spread:
    """Return the function of atomic numbers, positions and box (nm) to the spread by atom, eV/Å."""
    artefact = load_artefact(run.path / model) if model else _model_of(run)
    _check_heads(artefact)
    if isinstance(artefact, LammpsArtefact):
        return partial(_spread_in_lammps, artefact)
    module: Any = None

    def spread(numbers: IntArray, positions: FloatArray, box: FloatArray | None) -> FloatArray:
        nonlocal module
        if module is None:
            index = run.reference.molecule_index[_atoms(run)]
            molecules = index if run.molecules is not None else None
            kernel, _ = choose_kernel(artefact, "auto")
            module = artefact.bind(
                numbers, periodic=box is not None, molecules=molecules, kernel=kernel
            )
        return force_uncertainty_of(module, positions, box) / KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM

    return spread


def _spread_in_lammps(
    artefact: LammpsArtefact, numbers: IntArray, positions: FloatArray, box: FloatArray | None
) -> FloatArray:
    if not np.isfinite(positions).all():
        return np.full(len(positions), np.nan)
    frame = Frame(numbers, positions / NM_PER_ANGSTROM)
    if box is not None:
        cell = np.asarray(box, dtype=np.float64) / NM_PER_ANGSTROM
        frame = Frame(numbers, frame.positions, cell, np.ones(3, dtype=bool))
    return lammps_force_uncertainty(artefact, frame)


def _model_of(run: Run) -> Artefact | LammpsArtefact:
    """Return the run's model; its configuration follows a model that was moved, by --resume."""
    path = Path(run.config.model)
    is_lammps = run.config.engine == "lammps"
    artefact = load_lammps_artefact(path) if is_lammps else load_artefact(path)
    if sha256_of_file(artefact.path) != run.reference.provenance.get("model_sha256"):
        raise InputError(f"'{artefact.path}' is no longer the model that the run was made with")
    return artefact


def _check_heads(artefact: Artefact | LammpsArtefact) -> None:
    if artefact.manifest.sampled_heads == 0:
        raise InputError(
            f"'{artefact.path}' carries no sampled heads: expected one of a finetuned model"
        )


def _atoms(run: Run) -> IntArray:
    """Return all atoms, or those of the first independent molecules."""
    index = run.reference.molecule_index
    if run.molecules is None:
        return np.arange(len(index))
    return np.flatnonzero(index < MAX_MOLECULES)


def _chosen_frames(
    run: Run, atoms: IntArray, n_frames: int
) -> Iterator[tuple[float, FloatArray, FloatArray | None]]:
    """Yield (time in ps, positions in nm, box in nm or None) of evenly spaced frames.

    They are chosen by number: no more than a chunk of the trajectory is in memory.
    """
    total, first = count_frames(run), 0
    chosen = np.unique(np.linspace(0, total - 1, min(n_frames, total)).astype(int))
    for times, chunk in iterate_chunks(run):
        boxes = chunk.unitcell_vectors
        for k in chosen[(chosen >= first) & (chosen < first + len(times))] - first:
            yield float(times[k]), chunk.xyz[k, atoms], None if boxes is None else boxes[k]
        first += len(times)
