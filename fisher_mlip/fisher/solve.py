"""theta from the normal equations: scaled, with a ridge toward the pretrained model."""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.normal_equations import NormalEquations
from fisher_mlip.fisher.sums import Sums


@dataclass(frozen=True)
class LabelWeights:
    """How much energies and virials count beside forces.

    Attributes:
        energy: weight of the mean squared energy error per atom, (eV/atom)^-2; forces count
            1 (eV/Å)^-2 for the mean squared component.
        virial: weight of the mean squared virial error per atom, (eV/atom)^-2.
    """

    energy: float = 0.0
    virial: float = 0.0

    def changed(self, energy: float | None, virial: float | None) -> "LabelWeights":
        """Return the weights with those that are given in their places."""
        return LabelWeights(
            self.energy if energy is None else energy, self.virial if virial is None else virial
        )


@dataclass(frozen=True, eq=False)
class LinearSystem:
    """gram theta = moment: means over the rows of each kind of label, weighted and added.

    Attributes:
        gram: (D, D).
        moment: (D,).
        n_rows: that they are sums over; the rank cannot be larger, whatever rounding leaves of
            rows that were added and taken out again.
    """

    gram: FloatArray
    moment: FloatArray
    n_rows: int | None = None


def linear_system(equations: NormalEquations, weights: LabelWeights) -> LinearSystem:
    """Return the system of a force-matched theta, with energies and virials as weighted.

    Raises:
        InputError: a weight for labels that no frame has, or sums that are not finite.
    """
    for name, value in (("energy", weights.energy), ("virial", weights.virial)):
        if not 0.0 <= value < np.inf:
            raise InputError(f"expected a finite {name} weight of zero or more, found {value}")
    parts, n_rows = [(1.0, equations.forces)], equations.forces.count
    for name, weight, sums in (
        ("energy", weights.energy, equations.energies),
        ("virial", weights.virial, equations.virials),
    ):
        if weight == 0.0:
            continue
        if sums.count == 0:
            raise InputError(f"expected frames with labels for the {name} weight, found none")
        parts.append((weight, without_offsets(sums, equations.n_features)))
        n_rows += sums.count
    gram = sum(weight / sums.weight * sums.gram for weight, sums in parts)
    moment = sum(weight / sums.weight * sums.moment for weight, sums in parts)
    gram, moment = np.asarray(gram), np.asarray(moment)
    if not (np.isfinite(gram).all() and np.isfinite(moment).all()):
        raise InputError("expected finite normal equations, found NaN: check frames and model")
    return LinearSystem(gram, moment, n_rows)


def without_offsets(sums: Sums, n_features: int) -> Sums:
    """Return the sums with the columns beyond the features minimized over."""
    if len(sums.moment) == n_features:
        return sums
    features, offsets = slice(0, n_features), slice(n_features, None)
    coupling = sums.gram[features, offsets] @ _inverse(sums.gram[offsets, offsets])
    return Sums(
        sums.gram[features, features] - coupling @ sums.gram[offsets, features],
        sums.moment[features] - coupling @ sums.moment[offsets],
        sums.square - _explained(sums, offsets),
        sums.weight,
        sums.count,
        sums.components,
    )


def _explained(sums: Sums, offsets: slice) -> float:
    moment = sums.moment[offsets]
    return float(moment @ _inverse(sums.gram[offsets, offsets]) @ moment)


def _inverse(counts: FloatArray) -> FloatArray:
    """Return the pseudo-inverse over the compositions there are, without those of rounding."""
    return np.asarray(np.linalg.pinv(counts, rcond=1e-10, hermitian=True), dtype=np.float64)


def fitted_offsets(energies: Sums, theta: FloatArray) -> FloatArray:
    """Return the offset per element (eV) that fits the energies best once theta is set.

    Of least norm where compositions leave it open (molecules of one kind); zeros without energies.
    """
    n = len(theta)
    residual = energies.moment[n:] - energies.gram[n:, :n] @ theta
    return _inverse(energies.gram[n:, n:]) @ residual


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The scaled gram matrix, diagonalized once for a whole ridge path.

    Attributes:
        scale: (D,), the square root of the diagonal; 1 where a feature never moves.
        values: (D,), eigenvalues of gram / (scale scale'), ascending; their mean is at most 1.
        vectors: (D, D), eigenvectors as columns.
        rank: eigenvalues above D times machine epsilon times the largest, no more than rows.
    """

    scale: FloatArray
    values: FloatArray
    vectors: FloatArray
    rank: int

    @property
    def condition(self) -> float:
        """Ratio of the largest to the smallest eigenvalue within the rank."""
        kept = self.values[len(self.values) - self.rank :]
        return float(kept[-1] / kept[0]) if self.rank else float("inf")

    def effective_degrees_of_freedom(self, ridge: float) -> float:
        """Return the sum of e / (e + ridge) over the eigenvalues within the rank."""
        kept = self.values[len(self.values) - self.rank :]
        return float((kept / (kept + ridge)).sum())


def diagonalize(system: LinearSystem) -> Spectrum:
    """Return the spectrum of the gram matrix after scaling its diagonal to one.

    Raises:
        InputError: no feature moves with the positions.
    """
    diagonal = np.diag(system.gram)
    if not (diagonal > 0).any():
        raise InputError("expected features that move with the positions, found only constants")
    scale = np.where(diagonal > 0, np.sqrt(np.maximum(diagonal, 1e-300)), 1.0)
    values, vectors = np.linalg.eigh(system.gram / np.outer(scale, scale))
    tolerance = len(values) * np.finfo(np.float64).eps * values[-1]
    rank = int((values > tolerance).sum())
    return Spectrum(
        scale, values, vectors, rank if system.n_rows is None else min(rank, system.n_rows)
    )


def solve(system: LinearSystem, spectrum: Spectrum, ridge: float) -> FloatArray:
    """Return the theta least in squared error plus `ridge` times its squared scaled norm.

    theta corrects the pretrained model, so the ridge pulls toward that. Directions outside the
    rank are never moved: data say nothing of them.

    Args:
        system: gram and moment.
        spectrum: of the same system.
        ridge: relative to the scaled diagonal of the gram matrix (which is 1); 0 solves within
            the rank.

    Returns:
        (D,), float64.

    Raises:
        InputError: a ridge that is negative or not finite.

    Source:
        theta = (T + ridge S^2)^-1 c, S the column scale.
    """
    if not 0 <= ridge < np.inf:
        raise InputError(f"expected a finite ridge of zero or more, found {ridge}")
    kept = slice(len(spectrum.values) - spectrum.rank, None)
    amplitudes = spectrum.vectors[:, kept].T @ (system.moment / spectrum.scale)
    amplitudes /= spectrum.values[kept] + ridge
    theta: FloatArray = (spectrum.vectors[:, kept] @ amplitudes) / spectrum.scale
    return theta
