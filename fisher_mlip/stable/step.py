"""A Gauss-Newton step of theta toward reference averages, within what the frames allow."""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.stable.averages import Averages
from fisher_mlip.stable.estimator import (
    Samples,
    effective_fraction,
    jacobian,
    largest_step,
    reweighted,
)
from fisher_mlip.stable.prior import FisherPrior

# No histogram is asked to be better than this part of its largest number.
FLOOR = 0.01
RAISED, MOST_RAISES = 10.0, 12
SHORTEST = 1e-3


@dataclass(frozen=True)
class Limits:
    """What a step may not pass.

    Attributes:
        strength: lambda, of the Fisher quadratic.
        effective_fraction: least effective part of the frames after reweighting.
        force_tolerance: largest relative increase of the held-out force error over theta_0's.
    """

    strength: float = 1.0
    effective_fraction: float = 0.5
    force_tolerance: float = 0.05


@dataclass(frozen=True, eq=False)
class Step:
    """A step that keeps the limits.

    Attributes:
        z: (rank,), coordinates after it.
        strength: lambda that it was solved with, raised where force errors asked for it.
        length: t, the part of the solution that was gone.
        effective_fraction: of the frames, reweighted.
        predicted: (n_g,), averages by reweighting.
    """

    z: FloatArray
    strength: float
    length: float
    effective_fraction: float
    predicted: FloatArray


def precisions(found: Averages, reference: Averages, blocks: list[int]) -> FloatArray:
    """Return the weight of each squared deviation, (n_g,).

    One over the variances of both averages and of a floor, 1 % of the largest reference average
    of the observable; over the size of the observable, so that each counts alike.

    Args:
        found: of the simulation.
        reference: to come to.
        blocks: size n_g of each observable, in order.
    """
    ends = np.cumsum(blocks)
    sizes = np.repeat(np.asarray(blocks, dtype=np.float64), blocks)
    largest = np.concatenate(
        [
            np.full(n, np.abs(reference.mean[end - n : end]).max(initial=1e-12))
            for n, end in zip(blocks, ends, strict=True)
        ]
    )
    variance = found.standard_error**2 + reference.standard_error**2 + (FLOOR * largest) ** 2
    return np.asarray(1.0 / (variance * sizes))


def gauss_newton(
    slopes: FloatArray, residual: FloatArray, precision: FloatArray, z: FloatArray, strength: float
) -> FloatArray:
    """Return the coordinates that are least in squared deviation and Fisher quadratic together.

    Args:
        slopes: (n_g, rank), d<g>/dz.
        residual: (n_g,), <g> - g_ref.
        precision: (n_g,), weights of the squared deviations.
        z: (rank,), where the slopes were taken.
        strength: lambda.

    Returns:
        (rank,): the minimum of 1/2 |W^(1/2) (residual + slopes (y - z))|^2 + 1/2 lambda |y|^2
        over y.
    """
    root = np.sqrt(precision)
    a, b = root[:, None] * slopes, root * (residual - slopes @ z)
    # As many equations as observables: fewer than coordinates.
    inner = a @ a.T + strength * np.eye(len(b))
    return np.asarray(-a.T @ np.linalg.solve(inner, b))


def choose_step(
    samples: Samples,
    reference: Averages,
    precision: FloatArray,
    prior: FisherPrior,
    z: FloatArray,
    limits: Limits,
) -> Step | None:
    """Return the step, or None where no step to speak of keeps the limits.

    It goes along the solution as far as the effective fraction allows; lambda is raised tenfold
    as long as the held-out force error passes its bound.

    Args:
        samples: found at z.
        reference: averages to come to.
        precision: (n_g,), weights of the squared deviations.
        prior: of theta.
        z: (rank,).
        limits: of the step.

    Raises:
        InputError: fewer than two independent configurations.
    """
    slopes = jacobian(samples) @ prior.factor
    residual = samples.mean - reference.mean
    bound = (1.0 + limits.force_tolerance) * prior.held_out_rmse(np.zeros_like(z))
    strength = limits.strength
    for _ in range(MOST_RAISES):
        whole = gauss_newton(slopes, residual, precision, z, strength) - z
        length = largest_step(samples, prior.factor @ whole, limits.effective_fraction)
        reached = z + length * whole
        if prior.held_out_rmse(reached) <= bound:
            if length < SHORTEST or not np.any(whole):
                return None
            delta = prior.factor @ (reached - z)
            fraction = effective_fraction(samples, delta)
            return Step(reached, strength, length, fraction, reweighted(samples, delta))
        strength *= RAISED
    return None
