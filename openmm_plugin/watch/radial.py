"""Radial distribution functions between molecules, and their error over a window."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from openmm.app import Topology

from fisher_mlip.errors import InputError
from fisher_mlip.products import whole_file
from openmm_plugin.bonds import molecule_index
from openmm_plugin.kinetics import FloatArray, IntArray
from openmm_plugin.watch.criterion import Criterion
from openmm_plugin.watch.look import Look
from openmm_plugin.watch.pairs import near_pairs
from openmm_plugin.watch.windows import Window


@dataclass(frozen=True, eq=False)
class RadialReference:
    """Radial distribution functions to compare with.

    Attributes:
        edges: (n_bins + 1,), Å, of the bins, from 0.
        functions: g(r) by pair of elements, `C-O` in alphabetical order, (n_bins,).
    """

    edges: FloatArray
    functions: dict[str, FloatArray]

    def write(self, path: Path) -> None:
        """Write an .npz of `edges` and one array for each pair."""
        with whole_file(path) as partial, partial.open("wb") as handle:
            np.savez(handle, edges=self.edges, **self.functions)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an .npz.

        Raises:
            InputError: it is missing, damaged, no .npz, or holds other arrays or ones that are not
                finite.
        """
        try:
            with path.open("rb") as handle:
                content = np.load(handle, allow_pickle=False)
                if isinstance(content, np.ndarray):
                    raise ValueError("an array alone, as in an .npy")
                arrays = {name: np.asarray(content[name], dtype=np.float64) for name in content}
        except (OSError, ValueError, EOFError, BadZipFile) as failure:
            raise InputError(f"expected an .npz in '{path}', found: {failure}") from None
        edges = arrays.pop("edges", np.zeros(0))
        fits = edges.ndim == 1 and len(edges) > 1 and (np.diff(edges) > 0.0).all()
        if not fits or not arrays or any(g.shape != (len(edges) - 1,) for g in arrays.values()):
            raise InputError(
                f"expected rising 'edges' (n + 1) in Å and g(r) (n) by pair of elements in '{path}'"
                f", found {sorted(arrays) or 'nothing'}"
            )
        # An error that is NaN is never too large: the criterion would be off without a word.
        wrong = [name for name, values in arrays.items() if not np.isfinite(values).all()]
        if wrong or not np.isfinite(edges).all():
            raise InputError(
                f"expected finite numbers in '{path}', found others in {(wrong or ['edges'])[0]}"
            )
        return cls(edges, arrays)


class PairCounter:
    """Counts pairs of different molecules by their elements and distance.

    Args:
        topology: elements and the bonds that make molecules.
        edges: (n_bins + 1,), Å.

    Attributes:
        names: pairs of elements that two molecules have, `C-O` in alphabetical order.
    """

    def __init__(self, topology: Topology, edges: FloatArray) -> None:
        elements = [atom.element.symbol if atom.element else "?" for atom in topology.atoms()]
        self._symbols, self._species = np.unique(elements, return_inverse=True)
        self._molecules = molecule_index(topology)
        self._edges = np.asarray(edges, dtype=np.float64)
        self._shells = 4.0 / 3.0 * np.pi * np.diff(self._edges**3)
        everything = self._n_between()
        self._codes = [code for code, number in everything.items() if number]
        self._numbers = np.array([everything[code] for code in self._codes], dtype=np.float64)
        kinds = len(self._symbols)
        self.names = [
            f"{self._symbols[c // kinds]}-{self._symbols[c % kinds]}" for c in self._codes
        ]

    def functions(self, positions: FloatArray, cell: FloatArray) -> FloatArray:
        """Return g(r) of one frame, (n_pairs_of_elements, n_bins).

        Args:
            positions: (n_atoms, 3), Å.
            cell: (3, 3), Å.

        Source:
            g_ab(r) = V n_ab(r) / (N_ab v(r)): n_ab pairs in a shell of volume v, of N_ab pairs of
            atoms of different molecules.
        """
        _, column = self._near(positions, cell)
        size = len(self.names) * len(self._shells)
        counts = np.bincount(column, minlength=size).reshape(len(self.names), -1)
        return np.asarray(counts * self._scale(cell))

    def by_molecule(self, positions: FloatArray, cell: FloatArray) -> FloatArray:
        """Return each molecule's part of `functions`, of which that is the mean.

        A pair counts half for either molecule.

        Args: as `functions`.

        Returns:
            (n_molecules, n_pairs_of_elements, n_bins).
        """
        pairs, column = self._near(positions, cell)
        n_molecules = int(self._molecules.max()) + 1
        counts = np.zeros((n_molecules, len(self.names) * len(self._shells)))
        for side in (0, 1):
            np.add.at(counts, (self._molecules[pairs[:, side]], column), 0.5)
        parts = counts.reshape(n_molecules, len(self.names), -1)
        return np.asarray(n_molecules * parts * self._scale(cell))

    def _near(self, positions: FloatArray, cell: FloatArray) -> tuple[IntArray, IntArray]:
        """Return pairs (n, 2) within reach, and the place of each among names and bins (n,)."""
        pairs, distances = near_pairs(positions, cell, float(self._edges[-1]), self._molecules)
        species = np.sort(self._species[pairs], axis=1)
        code = species[:, 0] * len(self._symbols) + species[:, 1]
        place = np.searchsorted(self._edges, distances, side="right") - 1
        inside = (place >= 0) & (place < len(self._shells))
        kind = np.searchsorted(self._codes, code[inside])
        return pairs[inside], np.asarray(kind * len(self._shells) + place[inside])

    def _scale(self, cell: FloatArray) -> FloatArray:
        """Return what a count is multiplied by, (n_pairs_of_elements, n_bins)."""
        volume = abs(np.linalg.det(cell))
        return np.asarray(volume / (self._numbers[:, None] * self._shells))

    def _n_between(self) -> dict[int, int]:
        """Return the number of pairs of different molecules by the code of their elements."""
        kinds = len(self._symbols)
        table = np.zeros((int(self._molecules.max()) + 1, kinds), dtype=np.int64)
        np.add.at(table, (self._molecules, self._species), 1)
        totals = table.sum(axis=0)
        numbers: dict[int, int] = {}
        for a, b in itertools.combinations_with_replacement(range(kinds), 2):
            within = int((table[:, a] * table[:, b]).sum())
            ordered = int(totals[a] * totals[b]) - within
            numbers[a * kinds + b] = ordered // 2 if a == b else ordered
        return numbers


class RadialError(Criterion):
    """The error of g(r) against a reference over windows, Å: the largest of all pairs of elements.

    Args:
        topology: elements and the bonds that make molecules.
        reference: g(r) between molecules.
        threshold: Å.
        window_ps: length of a window; the number is that of the last whole one.
        interval: steps between the frames that are averaged.

    Source:
        Fu et al., Forces are not Enough, TMLR 2023, for condensed phases: unstable once
        int |<g_ref(r)> - <g(r)>_tau| dr > Delta, with Delta = 3.0 Å and tau = 1 ps for water.

    Raises:
        InputError: the reference lacks a pair of elements of the system.
    """

    name = "radial distribution error"
    unit = "Å"

    def __init__(
        self,
        topology: Topology,
        reference: RadialReference,
        threshold: float = 3.0,
        *,
        window_ps: float = 1.0,
        interval: int = 50,
    ) -> None:
        super().__init__(threshold)
        self._counter = PairCounter(topology, reference.edges)
        missing = [name for name in self._counter.names if name not in reference.functions]
        if missing:
            raise InputError(
                f"expected g(r) of {', '.join(self._counter.names)} in the reference, found "
                f"{', '.join(reference.functions)}"
            )
        self._reference = np.array([reference.functions[name] for name in self._counter.names])
        self._widths = np.diff(reference.edges)
        self._window = Window(window_ps)
        self._interval = interval
        self._last = float("nan")
        self._pair = ""

    def measure(self, look: Look) -> float:
        """Return Å; NaN before the first window is whole.

        Raises:
            InputError: the system is not periodic: it has no density.
        """
        if look.cell is None:
            raise InputError("expected a periodic system for radial distributions, found none")
        if look.step % self._interval:
            return self._last
        mean = self._window.add(look.time_ps, self._counter.functions(look.positions, look.cell))
        if mean is not None:
            errors = (np.abs(mean - self._reference) * self._widths).sum(axis=1)
            worst = int(np.argmax(errors))
            self._last, self._pair = float(errors[worst]), self._counter.names[worst]
        return self._last

    def where(self) -> str:
        return self._pair

    def memory(self) -> dict[str, Any]:
        last = None if np.isnan(self._last) else self._last
        return {"window": self._window.memory(), "last": last, "pair": self._pair}

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._window.recall(memory["window"], self._reference.shape)
        self._last = float("nan") if memory["last"] is None else float(memory["last"])
        self._pair = memory["pair"]


def radial_reference(
    topology: Topology,
    frames: FloatArray,
    cells: FloatArray,
    *,
    reach: float = 6.0,
    bin_width: float = 0.1,
) -> RadialReference:
    """Average g(r) between molecules over frames of a trajectory that is trusted.

    Args:
        topology: elements and the bonds that make molecules.
        frames: (n_frames, n_atoms, 3), Å; `10 * trajectory.xyz` of mdtraj.
        cells: (n_frames, 3, 3), Å; `10 * trajectory.unitcell_vectors`.
        reach: largest distance, Å.
        bin_width: Å.

    Raises:
        InputError: no frames, or as many cells as frames are missing.
    """
    if not len(frames) or cells is None or len(cells) != len(frames):
        raise InputError(f"expected frames with a cell each, found {len(frames)} frames")
    edges = np.linspace(0.0, reach, round(reach / bin_width) + 1)
    counter = PairCounter(topology, edges)
    total = sum(
        counter.functions(np.asarray(x, dtype=np.float64), np.asarray(cell, dtype=np.float64))
        for x, cell in zip(frames, cells, strict=True)
    )
    mean = np.asarray(total) / len(frames)
    return RadialReference(edges, dict(zip(counter.names, mean, strict=True)))
