"""Trajectory of a box -> g(r) between molecules by pair of elements, and its error."""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from fisher_mlip.analysis.observables.distribution import RESAMPLES, Distance, standard_error
from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.topology import openmm_topology
from fisher_mlip.analysis.trajectory import ANGSTROM_PER_NM, iterate_chunks
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from openmm_plugin.watch import RadialReference
from openmm_plugin.watch.radial import PairCounter

_EDGES = np.linspace(0.0, 6.0, 61)
_BLOCKS = 20


@dataclass(frozen=True, eq=False)
class RadialFunctions:
    """g(r) between molecules.

    Attributes:
        names: pairs of elements, `C-O` in alphabetical order.
        edges: (n_bins + 1,), Å.
        blocks: (n_blocks, n_pairs, n_bins), means over blocks of time.
        n_frames: that were looked at.
    """

    names: tuple[str, ...]
    edges: FloatArray
    blocks: FloatArray
    n_frames: int

    @property
    def mean(self) -> FloatArray:
        """(n_pairs, n_bins)."""
        return np.asarray(self.blocks.mean(axis=0))

    @property
    def error(self) -> FloatArray:
        """(n_pairs, n_bins), standard error between blocks of time."""
        flat = self.blocks.reshape(len(self.blocks), -1)
        return standard_error(flat).reshape(self.blocks.shape[1:])

    @property
    def reference(self) -> RadialReference:
        """As the watch and `analyze --rdf-reference` take it."""
        return RadialReference(self.edges, dict(zip(self.names, self.mean, strict=True)))


def radial_of(run: Run, *more: Run, most_frames: int = 200) -> RadialFunctions:
    """Average g(r) over the trajectory of a run, or of several replicas of it.

    Args:
        run: periodic, with bonds that make molecules.
        more: of the same atoms.
        most_frames: evenly spaced frames that are looked at.

    Raises:
        InputError: the run is not periodic, or has no frames.
    """
    counter = PairCounter(openmm_topology(run.reference), _EDGES)
    runs = (run, *more)
    n_frames = sum(len(times) for one in runs for times, _ in iterate_chunks(one))
    chosen = np.unique(np.linspace(0, n_frames - 1, min(most_frames, n_frames)).astype(int))
    rows, place = [], 0
    for times, chunk in chain.from_iterable(map(iterate_chunks, runs)):
        if chunk.unitcell_vectors is None:
            raise InputError(f"expected a periodic box for g(r), found none in '{run.path}'")
        for frame in chosen[(chosen >= place) & (chosen < place + len(times))] - place:
            positions = chunk.xyz[frame].astype(np.float64) * ANGSTROM_PER_NM
            cell = chunk.unitcell_vectors[frame].astype(np.float64) * ANGSTROM_PER_NM
            rows.append(counter.functions(positions, cell))
        place += len(times)
    if not rows:
        raise InputError(f"expected frames for g(r) in '{run.path}', found none")
    parts = np.array_split(np.array(rows), min(_BLOCKS, len(rows)))
    blocks = np.array([part.mean(axis=0) for part in parts])
    return RadialFunctions(tuple(counter.names), _EDGES, blocks, len(rows))


def radial_distance(
    found: RadialFunctions, reference: RadialFunctions, *, seed: int = 0
) -> dict[str, Distance]:
    """Return the integral of |g(r) - g_ref(r)| dr by pair of elements, Å.

    Args:
        found, reference: with the same pairs; others are left out.
        seed: of the bootstrap over blocks of both.

    Source: Fu et al., Forces are not Enough, TMLR 2023.
    """
    rng = np.random.default_rng(seed)
    widths, distances = np.diff(found.edges), {}
    for name in (name for name in found.names if name in reference.names):
        ours = found.blocks[:, found.names.index(name)]
        theirs = reference.blocks[:, reference.names.index(name)]
        value = _integral(ours, theirs, widths)
        samples = np.empty((RESAMPLES, 2))
        for sample in range(RESAMPLES):
            a, b = (x[rng.integers(0, len(x), len(x))] for x in (ours, theirs))
            noise = np.hypot(_integral(a, ours, widths), _integral(b, theirs, widths))
            samples[sample] = _integral(a, b, widths), noise
        error, noise = float(samples[:, 0].std()), float(samples[:, 1].mean())
        distances[name] = Distance(value, error, noise)
    return distances


def _integral(ours: FloatArray, theirs: FloatArray, widths: FloatArray) -> float:
    return float((np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) * widths).sum())
