"""Ledger -> mean temperatures, and whether every element has its share."""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.analysis.averages import Mean, time_average
from fisher_mlip.analysis.run import Ledger, Run
from fisher_mlip.data.frames import FloatArray


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
    mean, _ = time_average(overall)
    elements = {name: series[kept] for name, series in ledger.element_temperatures.items()}
    # The ratio of means, with the error of T_X - ratio T: rows without motion divide nothing.
    ratios = {name: _ratio(series, overall, mean.value) for name, series in elements.items()}
    tail = overall[-max(1, len(overall) // 10) :]
    return Temperatures(
        mean,
        float(overall.std()),
        float(tail.mean()),
        {name: time_average(series)[0] for name, series in elements.items()},
        ratios,
    )


# The last tenth of a run so much above its start is heat that the potential gave.
HEATED = 1.5


@dataclass(frozen=True)
class Heating:
    """A run that became hotter than it was meant to be.

    Attributes:
        start: K, that it was started at, or is kept at.
        end: K, mean over the last tenth of the rows.
    """

    start: float
    end: float


def heating_of(run: Run) -> Heating | None:
    """Return from where to where a run heated, None where it did not by half and more.

    Chance aside: three standard deviations of the temperature of so many atoms. Of a foreign run
    with a thermostat it is not known what temperatures it was told to go through.
    """
    is_conserved = run.config.ensemble == "nve"
    first = float(run.ledger.temperature[0]) if is_conserved and len(run.ledger.time_ps) else 0.0
    start = first if run.is_foreign else max(first, run.config.temperature)
    finite = run.ledger.temperature[np.isfinite(run.ledger.temperature)]
    if not start > 0.0 or len(finite) < 3 or not run.reference.n_atoms:
        return None
    end = float(finite[-max(1, len(finite) // 10) :].mean())
    chance = 3.0 * np.sqrt(2.0 / (3.0 * run.reference.n_atoms))
    return Heating(start, end) if end > (HEATED + chance) * start else None


def _ratio(series: FloatArray, overall: FloatArray, mean: float) -> Mean:
    if not mean > 0.0:
        return Mean(np.nan, np.nan)
    ratio = float(series.mean()) / mean
    difference, _ = time_average(series - ratio * overall)
    return Mean(ratio, difference.half_width / mean)
