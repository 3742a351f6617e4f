"""Ledger -> mean temperatures, and whether every element has its share."""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.analysis.run import Ledger
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.slopes import autocorrelation_time

_Z95 = 1.96


@dataclass(frozen=True)
class Mean:
    """A time average with the half width of its 95 % interval (correlated rows counted once)."""

    value: float
    half_width: float


@dataclass(frozen=True)
class Temperatures:
    """Temperatures after the discarded start.

    Attributes:
        mean: K, all atoms.
        std: K, of the rows.
        last_tenth: K, mean over the last tenth of the rows.
        elements: K, by element.
        ratios: element's temperature over the overall one; 1 under equipartition.
    """

    mean: Mean
    std: float
    last_tenth: float
    elements: dict[str, Mean]
    ratios: dict[str, Mean]


def temperatures(ledger: Ledger, *, discard_fraction: float) -> Temperatures:
    """Average the temperatures over the rows after the discarded start.

    Args:
        ledger: finite rows.
        discard_fraction: part of the time span left out at the start.
    """
    time = ledger.time_ps
    if len(time) < 3:
        return Temperatures(Mean(np.nan, np.nan), np.nan, np.nan, {}, {})
    kept = time >= time[0] + discard_fraction * (time[-1] - time[0])
    overall = ledger.temperature[kept]
    mean = _mean(overall)
    elements = {name: series[kept] for name, series in ledger.element_temperatures.items()}
    # The ratio of means, with the error of T_X - ratio T: rows without motion divide nothing.
    ratios = {name: _ratio(series, overall, mean.value) for name, series in elements.items()}
    tail = overall[-max(1, len(overall) // 10) :]
    return Temperatures(
        mean,
        float(overall.std()),
        float(tail.mean()),
        {name: _mean(series) for name, series in elements.items()},
        ratios,
    )


def _mean(series: FloatArray) -> Mean:
    tau = autocorrelation_time(series)
    return Mean(float(series.mean()), _Z95 * float(series.std() * np.sqrt(tau / len(series))))


def _ratio(series: FloatArray, overall: FloatArray, mean: float) -> Mean:
    if not mean > 0.0:
        return Mean(np.nan, np.nan)
    ratio = float(series.mean()) / mean
    return Mean(ratio, _mean(series - ratio * overall).half_width / mean)
