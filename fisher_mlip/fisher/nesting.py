"""Smaller heads inside a larger one: their normal equations without another pass."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.sparse import csr_array

from fisher_mlip.config import HeadConfig, HeadKind
from fisher_mlip.fisher.normal_equations import NormalEquations
from fisher_mlip.fisher.outside.holes import ScanEnergies
from fisher_mlip.fisher.sums import Sums
from fisher_mlip.model.head import LayerInvariants, LinearHead

KINDS: tuple[HeadKind, ...] = ("last-layer", "per-element", "all-layers", "products")


@dataclass(frozen=True, eq=False)
class Nested:
    """A head whose features are sums of those of a larger head.

    Attributes:
        config: of this head.
        columns: (D_large, D), zeros and ones: features = large features @ columns.
    """

    config: HeadConfig
    columns: csr_array

    def equations(self, large: NormalEquations) -> NormalEquations:
        """Return the normal equations of this head from those of the larger one."""
        return NormalEquations(
            self._sums(large.forces),
            self._sums(large.energies),
            self._sums(large.virials),
            large.n_frames,
        )

    def along(self, large: ScanEnergies) -> ScanEnergies:
        """Return the energies along scans with this head's features."""
        return ScanEnergies(large.scans, large.base, np.asarray(large.features @ self.columns))

    def _sums(self, sums: Sums) -> Sums:
        """Restrict the feature columns; those of the energy offsets, if any, stay."""
        n_large, n = self.columns.shape
        extra = len(sums.moment) - n_large
        gram = np.zeros((n + extra, n + extra))
        mixed = self.columns.T @ sums.gram[:n_large, n_large:]
        gram[:n, :n] = self.columns.T @ (self.columns.T @ sums.gram[:n_large, :n_large]).T
        gram[:n, n:], gram[n:, :n] = mixed, mixed.T
        gram[n:, n:] = sums.gram[n_large:, n_large:]
        moment = np.concatenate([self.columns.T @ sums.moment[:n_large], sums.moment[n_large:]])
        return Sums(gram, moment, sums.square, sums.weight, sums.count)


def nested_head(kind: HeadKind, large: LinearHead | None, n_features: int) -> Nested:
    """Return the head of that kind inside a larger one (None: the plain last layer).

    Args:
        kind: no larger than the head.
        large: the head that features were computed of.
        n_features: of the large head.
    """
    if large is None or kind == large.config.kind:
        config = HeadConfig() if large is None else large.config
        return Nested(config, csr_array(np.eye(n_features)))
    chosen = _columns(kind, large)
    rows = np.concatenate([chosen + e * large.n_invariants for e in range(large.n_species)])
    places = np.arange(len(rows))
    if kind == "last-layer":
        places = np.tile(np.arange(len(chosen)), large.n_species)
    shape = (n_features, int(places.max()) + 1)
    columns = csr_array((np.ones(len(rows)), (rows, places)), shape=shape)
    return Nested(HeadConfig(kind=kind), columns)


def _columns(kind: HeadKind, large: LinearHead) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the large head's invariants that the smaller head has, in its order."""
    parts, start = [], 0
    blocks = [cast(LayerInvariants, block) for block in large.blocks]
    for k, block in enumerate(blocks):
        n_single = block.channels * (block.max_degree + 1)
        if kind == "all-layers" or k == len(blocks) - 1:
            parts.append(np.arange(start, start + n_single))
        start += block.n_invariants
    return np.concatenate(parts)
