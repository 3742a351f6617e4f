"""Smaller heads inside a larger one: their normal equations without another pass."""

from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.sparse import csr_array

from fisher_mlip.config import HeadConfig, HeadKind
from fisher_mlip.data.frames import FloatArray
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
        columns: (D_large, D), zeros and ones: features = large features @ columns; None for all.
    """

    config: HeadConfig
    columns: csr_array | None

    def equations(self, large: NormalEquations) -> NormalEquations:
        """Return the normal equations of this head from those of the larger one."""
        if self.columns is None:
            return large
        return NormalEquations(
            self._sums(large.forces),
            self._sums(large.energies),
            self._sums(large.virials),
            large.n_frames,
        )

    def along(self, large: ScanEnergies) -> ScanEnergies:
        """Return the energies along scans with this head's features."""
        if self.columns is None:
            return large
        return ScanEnergies(large.scans, large.base, np.asarray(large.features @ self.columns))

    def _sums(self, sums: Sums) -> Sums:
        """Restrict the feature columns; those of the energy offsets, if any, stay."""
        assert self.columns is not None
        n_large, n = self.columns.shape
        extra = len(sums.moment) - n_large
        if sums.count == 0:
            return Sums.zeros(n + extra)
        gram = np.zeros((n + extra, n + extra))
        mixed = self.columns.T @ sums.gram[:n_large, n_large:]
        gram[:n, :n] = self._both_sides(sums.gram[:n_large, :n_large])
        gram[:n, n:], gram[n:, :n] = mixed, mixed.T
        gram[n:, n:] = sums.gram[n_large:, n_large:]
        moment = np.concatenate([self.columns.T @ sums.moment[:n_large], sums.moment[n_large:]])
        return Sums(gram, moment, sums.square, sums.weight, sums.count, sums.components)

    def _both_sides(self, gram: FloatArray) -> FloatArray:
        """Return columns' gram columns; taken out where each column is one of the large head's."""
        assert self.columns is not None
        if self.columns.nnz == self.columns.shape[1]:
            rows = self.columns.nonzero()[0]
            return gram[np.ix_(rows, rows)]
        return np.asarray(self.columns.T @ (self.columns.T @ gram).T)


def nested_heads(kind: HeadKind, large: LinearHead | None, n_features: int) -> list[Nested]:
    """Return the heads of that kind inside a larger one (None: the plain last layer).

    Of `products` two: of the first layer's channels alone, where more layers have them, and of all.
    A model trained on few labels has a first layer that says more than those after it.

    Args:
        kind: no larger than the head's.
        large: the head that features were computed of.
        n_features: of the large head.
    """
    if large is None or kind != "products":
        return [nested_head(HeadConfig(kind=kind), large, n_features)]
    first = large.config.model_copy(update={"product_layers": 1})
    smaller = [] if _multiplied(large) < 2 else [nested_head(first, large, n_features)]
    return [*smaller, nested_head(large.config, large, n_features)]


def _multiplied(head: LinearHead) -> int:
    return sum(cast(LayerInvariants, block).product_channels > 0 for block in head.blocks)


def nested_head(config: HeadConfig, large: LinearHead | None, n_features: int) -> Nested:
    """Return a head inside a larger one, with all of its product channels in fewer layers."""
    if large is None or config == large.config:
        return Nested(config, None)
    chosen = _columns(config, large)
    rows = np.concatenate([chosen + e * large.n_invariants for e in range(large.n_species)])
    places = np.arange(len(rows))
    if config.kind == "last-layer":
        places = np.tile(np.arange(len(chosen)), large.n_species)
    shape = (n_features, int(places.max()) + 1)
    columns = csr_array((np.ones(len(rows)), (rows, places)), shape=shape)
    return Nested(config, columns)


def _columns(config: HeadConfig, large: LinearHead) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the large head's invariants that the smaller head has, in its order."""
    parts, start = [], 0
    blocks = [cast(LayerInvariants, block) for block in large.blocks]
    every_layer = config.kind in ("all-layers", "products")
    for k, block in enumerate(blocks):
        has_products = config.kind == "products" and k < config.product_layers
        n_single = block.channels * (block.max_degree + 1)
        if every_layer or k == len(blocks) - 1:
            n = block.n_invariants if has_products else n_single
            parts.append(np.arange(start, start + n))
        start += block.n_invariants
    return np.concatenate(parts)
