"""Pairs of replicas -> whether one model differs, by exact or resampled tests."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from fisher_mlip.data.frames import BoolArray, FloatArray

RESAMPLES = 4000
# Two-sided, the smallest p of the signed-rank test with n pairs is 2 / 2^n.
FEWEST_PAIRS = 6


@dataclass(frozen=True)
class PairedDifference:
    """A number of each replica, of another model minus the first.

    Attributes:
        n_pairs: replicas of which both are finite.
        n_left_out: the others.
        median: of the differences.
        low, high: 95 % of the median, percentiles of a bootstrap over pairs.
        p_value: of Wilcoxon's signed-rank test, two-sided.
    """

    n_pairs: int
    n_left_out: int
    median: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class PairedSurvival:
    """Who of each pair broke first.

    Attributes:
        n_first, n_other: pairs in which that of the first, or of the other model broke first.
        n_undecided: pairs of which it is not known: neither broke, both in the same frame, or the
            one that was still whole was not watched as long.
        p_value: two-sided, exact: as likely for either.
        logrank_p_value: of the two curves, the pairs left aside.
    """

    n_first: int
    n_other: int
    n_undecided: int
    p_value: float
    logrank_p_value: float


def paired_difference(first: FloatArray, other: FloatArray, *, seed: int) -> PairedDifference:
    """Compare a number of replicas that started alike.

    Args:
        first, other: (n_replicas,), of each model; pairs that are not finite are left out.
        seed: of the bootstrap.

    Source: F. Wilcoxon, Biometrics Bull. 1, 80 (1945).
    """
    difference = other - first
    kept = difference[np.isfinite(difference)]
    left_out = len(difference) - len(kept)
    if not len(kept):
        return PairedDifference(0, left_out, np.nan, np.nan, np.nan, np.nan)
    rows = np.random.default_rng(seed).integers(0, len(kept), (RESAMPLES, len(kept)))
    medians = np.median(kept[rows], axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    # Where nothing differs the test has no ranks.
    p_value = float(stats.wilcoxon(kept).pvalue) if kept.any() else 1.0
    middle = float(np.median(kept))
    return PairedDifference(len(kept), left_out, middle, float(low), float(high), p_value)


def paired_survival(
    first_ps: FloatArray, first_broke: BoolArray, other_ps: FloatArray, other_broke: BoolArray
) -> PairedSurvival:
    """Compare stable times of replicas that started alike, some of which were not seen to end.

    Args:
        first_ps, other_ps: (n_replicas,), of the break or of the end of watching.
        first_broke, other_broke: (n_replicas,), whether it was a break.

    Source: the log-rank test stratified by pairs, which counts the pairs whose first event is
        known (J. P. Klein, M. L. Moeschberger, Survival Analysis, 2003, section 7.5), here with the
        exact binomial; beside it N. Mantel, Cancer Chemother. Rep. 50, 163 (1966).
    """
    n_first = int((first_broke & (first_ps < other_ps)).sum())
    n_other = int((other_broke & (other_ps < first_ps)).sum())
    decided = n_first + n_other
    p_value = float(stats.binomtest(n_first, decided).pvalue) if decided else 1.0
    logrank = 1.0
    if first_broke.any() or other_broke.any():
        logrank = float(
            stats.logrank(_censored(first_ps, first_broke), _censored(other_ps, other_broke)).pvalue
        )
    undecided = len(first_ps) - decided
    return PairedSurvival(n_first, n_other, undecided, p_value, logrank)


def _censored(time_ps: FloatArray, is_event: BoolArray) -> stats.CensoredData:
    return stats.CensoredData(uncensored=time_ps[is_event], right=time_ps[~is_event])
