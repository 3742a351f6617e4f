"""Times of breaking -> Kaplan-Meier curve, median, and what a run without breaks still allows."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from fisher_mlip.data.frames import BoolArray, FloatArray

_Z95 = float(stats.norm.ppf(0.975))


@dataclass(frozen=True, eq=False)
class KaplanMeier:
    """The fraction that survives, a step function.

    Attributes:
        time_ps: (n_steps,), 0 and the times of events, rising.
        survival: (n_steps,), from each time on.
        low, high: (n_steps,), 95 % band.
        end_ps: last time at which anybody was watched.
    """

    time_ps: FloatArray
    survival: FloatArray
    low: FloatArray
    high: FloatArray
    end_ps: float

    @property
    def median_ps(self) -> float:
        """Time at which half are broken; infinite where the run ended before."""
        return self._crossing(self.survival)

    @property
    def median_ci95_ps(self) -> tuple[float, float]:
        """Where the band crosses one half."""
        return self._crossing(self.low), self._crossing(self.high)

    def _crossing(self, curve: FloatArray) -> float:
        # A curve that is at one half to rounding has crossed it.
        below = np.flatnonzero(curve <= 0.5 + 1e-12)
        return float(self.time_ps[below[0]]) if len(below) else float("inf")


def kaplan_meier(time_ps: FloatArray, is_event: BoolArray) -> KaplanMeier:
    """Estimate survival from times of events and of the ends of watching.

    Args:
        time_ps: (n,), of the event, or of the end of watching.
        is_event: (n,), whether it was an event.

    Source: E. L. Kaplan, P. Meier, JASA 53, 457 (1958); the band is Greenwood's variance on the
        log(-log S) scale (Kalbfleisch and Prentice), which stays between 0 and 1; before the first
        event the lower end is the exact one-sided one, 0.05^(1/n).
    """
    events = np.unique(time_ps[is_event])
    at_risk = (time_ps[None, :] >= events[:, None]).sum(axis=1)
    broken = ((time_ps[None, :] == events[:, None]) & is_event).sum(axis=1)
    survival = np.cumprod(1.0 - broken / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(broken / (at_risk * (at_risk - broken)))
        log = np.log(survival)
        width = _Z95 * np.sqrt(greenwood) / np.abs(log)
        low, high = np.exp(log * np.exp(width)), np.exp(log * np.exp(-width))
    # When none is left Greenwood's variance is undefined: the curve is known to be at zero.
    low, high = (np.where(survival > 0.0, edge, 0.0) for edge in (low, high))
    # Before the first event it is zero, which would claim certainty: the exact end instead.
    unbroken = 0.05 ** (1.0 / len(time_ps))
    return KaplanMeier(
        np.concatenate([[0.0], events]),
        np.concatenate([[1.0], survival]),
        np.concatenate([[unbroken], low]),
        np.concatenate([[1.0], high]),
        float(time_ps.max()),
    )


def rate_ci95(n_events: int, exposure: float) -> tuple[float, float]:
    """Return the exact 95 % interval of a constant rate from a count of events.

    Args:
        n_events: events seen; with none, the upper end is one-sided.
        exposure: total time watched, e.g. molecule-ps.

    Source: F. Garwood, Biometrika 28, 437 (1936).
    """
    low = stats.chi2.ppf(0.025, 2 * n_events) / 2.0 if n_events else 0.0
    tail = 0.975 if n_events else 0.95
    return float(low) / exposure, float(stats.chi2.ppf(tail, 2 * n_events + 2)) / 2.0 / exposure
