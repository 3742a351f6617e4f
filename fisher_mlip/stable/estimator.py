"""Boltzmann estimators of a linear head: slopes of averages, and averages at another theta.

With U_theta = U_0 + theta . D, averages over exp(-U_theta / kT) have slopes that are covariances,
and reweighting to theta + delta needs delta . D alone: no network, no differentiable dynamics.
"""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.reweighting import effective_sample_size
from fisher_mlip.units import BOLTZMANN_EV_PER_K


@dataclass(frozen=True, eq=False)
class Samples:
    """Configurations that a model was found in.

    Attributes:
        observables: (n, n_molecules, n_g), parts whose mean over molecules is the observable; one
            molecule for the global estimator.
        features: (n, n_molecules, D), eV: those that the part is correlated with; of the whole
            configuration for the global estimator.
        temperature: K.
        n_independent: configurations over their correlation time.
    """

    observables: FloatArray
    features: FloatArray
    temperature: float
    n_independent: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0.0):
            raise InputError(f"expected a temperature above 0 K, found {self.temperature}")

    @property
    def beta(self) -> float:
        """1 / kT, 1/eV."""
        return 1.0 / (BOLTZMANN_EV_PER_K * self.temperature)

    @property
    def mean(self) -> FloatArray:
        """Averages of the observables, (n_g,)."""
        return np.asarray(self.observables.mean(axis=(0, 1)))

    def globally(self) -> "Samples":
        """Return the samples of the global estimator: observables and features of the whole.

        Right where the neighborhoods that features are of do not overlap.
        """
        return Samples(
            self.observables.mean(axis=1, keepdims=True),
            self.features.sum(axis=1, keepdims=True),
            self.temperature,
            self.n_independent,
        )


def jacobian(samples: Samples) -> FloatArray:
    """Return d<g>/d theta, (n_g, D), 1/eV of the observables' units.

    Raises:
        InputError: fewer than two independent configurations.

    Source:
        Raja et al., StABlE training (arXiv 2402.13984): d<g>/d theta = <dg/d theta> - beta
        Cov(g, dU/d theta), here with dg/d theta = 0 and dU/d theta = D; the localized estimator
        correlates each molecule's part with the features of its neighborhood. The covariance of n
        correlated configurations is divided by n (1 - 1 / n_independent), n - 1 if independent.
    """
    n, n_molecules = samples.observables.shape[:2]
    if not samples.n_independent > 1.0:
        raise InputError(
            f"expected two independent configurations or more, found {samples.n_independent:.1f}"
        )
    g = samples.observables - samples.observables.mean(axis=0)
    d = samples.features - samples.features.mean(axis=0)
    products = g.reshape(n * n_molecules, -1).T @ d.reshape(n * n_molecules, -1)
    count = n * (1.0 - 1.0 / samples.n_independent)
    return np.asarray(-samples.beta * products / (count * n_molecules))


def weights(samples: Samples, delta: FloatArray) -> FloatArray:
    """Return exp(-delta . D / kT) of each configuration, normalized, (n, n_molecules).

    Exact for the global estimator; the localized one takes the rest of a box to be as it was.

    Source:
        importance sampling (Torrie, Valleau, J. Comput. Phys. 23, 187 (1977)).
    """
    exponent = -samples.beta * (samples.features @ delta)
    unnormalized = np.exp(exponent - exponent.max(axis=0))
    return np.asarray(unnormalized / unnormalized.sum(axis=0))


def reweighted(samples: Samples, delta: FloatArray) -> FloatArray:
    """Return the averages at theta + delta, (n_g,). Args: as `weights`."""
    found = np.einsum("nm,nmg->g", weights(samples, delta), samples.observables)
    return np.asarray(found / samples.observables.shape[1])


def effective_fraction(samples: Samples, delta: FloatArray) -> float:
    """Return the effective part of the configurations after reweighting, ESS / n.

    Source:
        Kish (1965): (sum w)^2 / sum w^2; the mean over molecules.
    """
    each = weights(samples, delta).T
    sizes = [effective_sample_size(w) for w in each]
    return float(np.mean(sizes)) / len(samples.features)


def largest_step(samples: Samples, delta: FloatArray, least: float) -> float:
    """Return the largest t in [0, 1] with an effective fraction at t delta of `least` or more.

    By bisection, exact since the energy is linear in theta: the fraction falls along the ray.
    """
    if effective_fraction(samples, delta) >= least:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        if effective_fraction(samples, middle * delta) >= least:
            low = middle
        else:
            high = middle
    return low
