"""Frames or a run folder -> configurations that the reference averages are taken over."""

from pathlib import Path

import numpy as np

from fisher_mlip.analysis import read_run
from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.trajectory import ANGSTROM_PER_NM, iterate_chunks
from fisher_mlip.data import read_frames
from fisher_mlip.data.checks import check_structures
from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.errors import InputError
from fisher_mlip.model.graph import species_of
from fisher_mlip.stable.configurations import Configurations, configurations_of

FEWEST = 10
# Of a run: its first part, in which it comes to equilibrium, is left out.
LEFT_OUT = 0.2


def read_reference(path: Path, elements: list[int], temperature: float) -> Configurations:
    """Read configurations of one molecule in free space, or of a periodic box.

    Args:
        path: a file of frames, or a run folder of `simulate` at a fixed temperature.
        elements: atomic numbers that the model knows.
        temperature: K, that a run must have been at; of frames it is not known.

    Raises:
        InputError: no such file, fewer than ten configurations, an unknown element, other atoms
            in between, a run at another temperature, or frames without a boundary that are not
            one molecule.
    """
    if not path.exists():
        raise InputError(f"expected reference frames or a run folder '{path}', found none")
    found = _of_run(path, temperature) if path.is_dir() else read_configurations(path)
    species_of(found.atomic_numbers, elements)
    if len(found) < FEWEST:
        raise InputError(
            f"expected {FEWEST} configurations or more in the reference '{path}', found "
            f"{len(found)}"
        )
    if found.cells is None and found.n_molecules > 1:
        raise InputError(
            f"expected frames of one molecule, or of a periodic box, in '{path}', found "
            f"{found.n_molecules} molecules by their bonds and no box"
        )
    return found


def read_configurations(path: Path) -> Configurations:
    """Read a file of frames.

    Raises:
        InputError: it is no such file, or its frames are of different systems.
    """
    frames = read_frames(path)
    check_structures(frames)
    return configurations_of(frames)


def _of_run(path: Path, temperature: float) -> Configurations:
    run = read_run(path)
    if run.config.ensemble == "nve":
        raise InputError(
            f"expected a reference run at a fixed temperature, nvt or npt, in '{path}', found nve"
        )
    if abs(run.config.temperature - temperature) > 1e-6 * temperature:
        raise InputError(
            f"expected a reference run at {temperature:g} K in '{path}', found one at "
            f"{run.config.temperature:g} K"
        )
    chunks = [(chunk.xyz, chunk.unitcell_vectors) for _, chunk in iterate_chunks(run)]
    if not chunks:
        raise InputError(f"expected a trajectory in the reference run '{path}', found no frames")
    positions = ANGSTROM_PER_NM * np.concatenate([xyz for xyz, _ in chunks]).astype(np.float64)
    first = int(LEFT_OUT * len(positions))
    if run.reference.provenance.get("independent_molecules"):
        return _molecules_apart(run, positions[first:])
    if chunks[0][1] is None:
        cells = None
    else:
        vectors = np.concatenate([vectors for _, vectors in chunks if vectors is not None])
        cells = ANGSTROM_PER_NM * vectors.astype(np.float64)[first:]
    numbers = _atomic_numbers(run.reference.symbols)
    series = np.zeros(len(positions) - first, dtype=np.int64)
    return Configurations(numbers, run.reference.bonds, positions[first:], cells, series)


def _molecules_apart(run: Run, positions: FloatArray) -> Configurations:
    """Return each molecule that sees no other as a time series of one molecule."""
    index, n = run.reference.molecule_index, run.reference.n_molecules
    sizes = np.bincount(index)
    numbers = _atomic_numbers(run.reference.symbols)
    n_atoms = int(sizes[0])
    is_same = (sizes == n_atoms).all() and np.array_equal(index, np.repeat(np.arange(n), n_atoms))
    if not is_same or not np.array_equal(numbers, np.tile(numbers[:n_atoms], n)):
        raise InputError(f"expected molecules of one kind in the run '{run.path}', found several")
    bonds = run.reference.bonds
    apart = positions.reshape(len(positions), n, n_atoms, 3).transpose(1, 0, 2, 3)
    return Configurations(
        numbers[:n_atoms],
        bonds[(bonds < n_atoms).all(axis=1)],
        apart.reshape(-1, n_atoms, 3),
        None,
        np.repeat(np.arange(n), len(positions)),
    )


def _atomic_numbers(symbols: tuple[str, ...]) -> IntArray:
    from ase.data import atomic_numbers

    return np.array([atomic_numbers[symbol] for symbol in symbols], dtype=np.int64)
