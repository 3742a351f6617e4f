"""Bonds that leave their reference length."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from openmm.app import Topology

from openmm_plugin.bonds import molecule_index
from openmm_plugin.kinetics import FloatArray, IntArray
from openmm_plugin.watch.criterion import Criterion
from openmm_plugin.watch.look import Look


class BondDeviation(Criterion):
    """The largest deviation of a bond from its reference length.

    Bonds at the same place of equal molecules share a reference. Lengths are those of the nearest
    image, which is right for bonds shorter than half the box.

    Args:
        topology: with bonds.
        threshold: Å.
        lengths: (n_bonds,), Å, reference of each bond in the topology's order; None: the mean of
            each kind in the first look.

    Source:
        Fu et al., Forces are not Enough, TMLR 2023: a molecule is unstable once a bond is off its
        equilibrium length by more than 0.5 Å.
    """

    name = "bond deviation"
    unit = "Å"

    def __init__(
        self, topology: Topology, threshold: float = 0.5, *, lengths: FloatArray | None = None
    ) -> None:
        super().__init__(threshold)
        self._bonds = np.array(
            [(bond.atom1.index, bond.atom2.index) for bond in topology.bonds()], dtype=np.int64
        ).reshape(-1, 2)
        self._kinds = bond_kinds(topology, self._bonds)
        self._lengths = None if lengths is None else np.asarray(lengths, dtype=np.float64)
        self._symbols = [atom.element.symbol if atom.element else "?" for atom in topology.atoms()]
        self._worst = -1

    def measure(self, look: Look) -> float:
        """Return Å."""
        if not len(self._bonds):
            return 0.0
        vectors = look.positions[self._bonds[:, 1]] - look.positions[self._bonds[:, 0]]
        if look.cell is not None:
            vectors -= np.round(vectors @ np.linalg.inv(look.cell)) @ look.cell
        lengths = np.linalg.norm(vectors, axis=1)
        if self._lengths is None:
            means = np.bincount(self._kinds, weights=lengths) / np.bincount(self._kinds)
            self._lengths = means[self._kinds]
        deviations = np.abs(lengths - self._lengths)
        self._worst = int(np.argmax(deviations))
        return float(deviations[self._worst])

    def where(self) -> str:
        if self._worst < 0:
            return ""
        first, second = self._bonds[self._worst]
        return f"{self._symbols[first]}{first}-{self._symbols[second]}{second}"

    def memory(self) -> dict[str, Any]:
        if self._lengths is None:
            return {}
        first_of_kind = np.unique(self._kinds, return_index=True)[1]
        return {"lengths": self._lengths[first_of_kind].tolist()}

    def recall(self, memory: Mapping[str, Any]) -> None:
        if self._lengths is None and "lengths" in memory:
            self._lengths = np.array(memory["lengths"], dtype=np.float64)[self._kinds]


def bond_kinds(topology: Topology, bonds: IntArray) -> IntArray:
    """Number the bonds so that those at the same place of equal molecules share a number.

    Args:
        topology: elements and bonds.
        bonds: (n_bonds, 2), atom indices of its bonds.

    Returns:
        (n_bonds,), from 0.
    """
    molecules = molecule_index(topology)
    symbols = np.array([atom.element.symbol if atom.element else "?" for atom in topology.atoms()])
    order = np.argsort(molecules, kind="stable")
    starts = np.searchsorted(molecules[order], np.arange(molecules.max(initial=-1) + 1))
    local = np.empty(len(molecules), dtype=np.int64)
    local[order] = np.arange(len(order)) - starts[molecules[order]]
    pairs: dict[int, list[tuple[int, int]]] = {}
    for first, second in bonds:
        pair = (int(local[first]), int(local[second]))
        pairs.setdefault(int(molecules[first]), []).append(pair)
    atoms_of = np.split(order, starts[1:])
    signatures = {
        molecule: (tuple(symbols[atoms_of[molecule]].tolist()), tuple(sorted(own)))
        for molecule, own in pairs.items()
    }
    numbers: dict[Any, int] = {}
    kinds = [
        numbers.setdefault(
            (signatures[int(molecules[first])], int(local[first]), int(local[second])), len(numbers)
        )
        for first, second in bonds
    ]
    return np.array(kinds, dtype=np.int64)
