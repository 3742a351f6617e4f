"""Ledger -> mean density of a run whose box breathes."""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.analysis.averages import Mean, time_average
from fisher_mlip.analysis.run import Ledger


@dataclass(frozen=True)
class Density:
    """Density after the discarded start.

    Attributes:
        mean: g/mL.
        std: g/mL, of the rows.
        start: g/mL, of the first row.
        effective_samples: rows kept, divided by their autocorrelation time.
    """

    mean: Mean
    std: float
    start: float
    effective_samples: float


def density_of(ledger: Ledger, *, discard_fraction: float) -> Density | None:
    """Average the density over the rows after the discarded start.

    Args:
        ledger: finite rows.
        discard_fraction: part of the time span left out at the start.

    Returns:
        None where the box is not periodic, or never changed: a density that was given is no result.
    """
    series, time = ledger.density, ledger.time_ps
    if series is None or len(time) < 3 or not np.ptp(series) > 0.0:
        return None
    kept = series[time >= time[0] + discard_fraction * (time[-1] - time[0])]
    mean, samples = time_average(kept)
    return Density(mean, float(kept.std()), float(series[0]), samples)
