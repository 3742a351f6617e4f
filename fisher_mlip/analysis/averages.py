"""Correlated series -> means with their intervals."""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.slopes import autocorrelation_time

_Z95 = 1.96


@dataclass(frozen=True)
class Mean:
    """A time average with the half width of its 95 % interval (correlated rows counted once)."""

    value: float
    half_width: float


def time_average(series: FloatArray) -> tuple[Mean, float]:
    """Return the mean of a series (n_rows,) and how many independent rows stand behind it."""
    samples = len(series) / autocorrelation_time(series)
    half_width = _Z95 * float(series.std() / np.sqrt(samples))
    return Mean(float(series.mean()), half_width), samples
