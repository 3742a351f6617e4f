"""theta with statistical errors, from normal equations summed over blocks of frames.

Leaving out one block at a time gives the error of theta and of predicted forces, and tells on the
block left out what a ridge is worth: all from the sums, whatever the right-hand side c is made of.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.solve import LinearSystem, diagonalize

RIDGES = tuple(10.0**exponent for exponent in range(-10, 3))


@dataclass(frozen=True)
class RidgeGain:
    """What a ridge is worth on blocks that theta was not solved from.

    Attributes:
        ridge: relative to the scaled diagonal of T.
        gain: how much the mean squared force component error falls from theta = 0, (eV/Å)^2.
        gain_error: its standard error.
    """

    ridge: float
    gain: float
    gain_error: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """theta with its statistical error.

    Attributes:
        theta: (D,), zero where no ridge gains more than the error of its gain.
        standard_error: (D,), of theta.
        force_error: root mean square statistical error of a predicted force component, eV/Å.
        ridge: the one taken, or None where theta is zero for want of a gain.
        path: the gain of each ridge.
        left_out: (n_blocks, D), theta without each block.
    """

    theta: FloatArray
    standard_error: FloatArray
    force_error: float
    ridge: float | None
    path: list[RidgeGain]
    left_out: FloatArray


def estimate(
    gram: FloatArray, moment: FloatArray, n_components: FloatArray, ridges: Sequence[float] = RIDGES
) -> Estimate:
    """Return the theta that makes theta' T theta / 2 - theta' c least, with jackknife errors.

    Args:
        gram: (n_blocks, D, D), T of each block, (eV/Å)^2.
        moment: (n_blocks, D), c of each block, (eV/Å)^2.
        n_components: (n_blocks,), force components of each block.
        ridges: relative to the scaled diagonal of T. Of several the one with the largest gain on
            left-out blocks is taken, if the gain exceeds its own standard error; a single one is
            taken as it is.

    Raises:
        InputError: fewer than two blocks, no ridge or a negative one, or features that never move.

    Source:
        B. Efron, The Jackknife, the Bootstrap and Other Resampling Plans (1982), ch. 3.
    """
    if len(gram) < 2:
        raise InputError(f"expected two blocks of frames or more, found {len(gram)}")
    if not ridges or not all(0 <= ridge < np.inf for ridge in ridges):
        raise InputError(f"expected finite ridges of zero or more, found {list(ridges)}")
    blocks = _Blocks(gram, moment, n_components)
    path = [blocks.gain(ridge) for ridge in sorted(ridges)]
    best = max(path, key=lambda row: row.gain)
    if len(path) > 1 and not best.gain > best.gain_error:
        zero = np.zeros(gram.shape[1])
        return Estimate(zero, zero, 0.0, None, path, np.zeros(gram.shape[:2]))
    left_out = blocks.left_out(best.ridge)
    spread = covariance_factor(left_out)
    return Estimate(
        blocks.basis @ blocks.whole(best.ridge),
        np.sqrt(((spread @ blocks.basis.T) ** 2).sum(axis=0)),
        float(np.sqrt((spread**2 @ blocks.values).sum() / n_components.sum())),
        best.ridge,
        path,
        left_out @ blocks.basis.T,
    )


def covariance_factor(left_out: FloatArray) -> FloatArray:
    """Return A (n_blocks, n) with A'A the covariance of what was found without each block."""
    n_blocks = len(left_out)
    factor: FloatArray = (left_out - left_out.mean(axis=0)) * np.sqrt((n_blocks - 1) / n_blocks)
    return factor


class _Blocks:
    """The blocks in coordinates where the whole T is diagonal, within its rank.

    Attributes:
        basis: (D, rank), from those coordinates to theta.
        values: (rank,), the diagonal of T there.
    """

    def __init__(self, gram: FloatArray, moment: FloatArray, n_components: FloatArray) -> None:
        if not (np.isfinite(gram).all() and np.isfinite(moment).all()):
            raise InputError("expected finite normal equations, found NaN: check frames and model")
        spectrum = diagonalize(LinearSystem(gram.sum(axis=0), moment.sum(axis=0)))
        kept = slice(len(spectrum.values) - spectrum.rank, None)
        self.values = spectrum.values[kept]
        self.basis = spectrum.vectors[:, kept] / spectrum.scale[:, None]
        self.gram = self.basis.T @ gram @ self.basis
        self.moment = moment @ self.basis
        self.n_components = n_components
        # Without a block the rank may be lower: what rounding leaves there is held at zero.
        self.floor = len(spectrum.values) * np.finfo(np.float64).eps * self.values[-1]

    def whole(self, ridge: float) -> FloatArray:
        """Return the solution of all blocks, (rank,)."""
        solution: FloatArray = self.moment.sum(axis=0) / (self.values + ridge + self.floor)
        return solution

    def left_out(self, ridge: float) -> FloatArray:
        """Return the solutions without each block, (n_blocks, rank)."""
        kept = 1.0 - self.n_components / self.n_components.sum()
        penalty = (ridge * kept + self.floor)[:, None, None] * np.eye(len(self.values))
        without = np.diag(self.values) - self.gram + penalty
        moments = self.moment.sum(axis=0) - self.moment
        solutions: FloatArray = np.linalg.solve(without, moments[:, :, None])[:, :, 0]
        return solutions

    def gain(self, ridge: float) -> RidgeGain:
        """Return what the solutions without a block are worth on it."""
        found = self.left_out(ridge)
        square = np.einsum("bi,bij,bj->b", found, self.gram, found)
        gains = 2.0 * (found * self.moment).sum(axis=1) - square
        n_components = float(self.n_components.sum())
        error = gains.std(ddof=1) * np.sqrt(len(gains))
        return RidgeGain(ridge, float(gains.sum()) / n_components, float(error) / n_components)
