"""Comparisons of a stability study -> numbers by variant, and the gain where the default fails."""

from typing import Any

import numpy as np

from fisher_mlip.compare import Comparison

Line = dict[str, Any]
# The default fails where so much of its replicas broke, or where they drift by this much.
BROKEN_PART, DRIFT = 0.1, 1.0  # meV/atom/ps


def row_of(compared: Comparison, facts: dict[str, Line]) -> dict[str, Line]:
    """Return each variant's numbers: how it was made, drift, survival, and against the first."""
    rows = {}
    for model, against in zip(compared.models, compared.against_first, strict=True):
        assert model.stable is not None
        curve = model.stable.curve
        slopes = np.abs(model.slope[np.isfinite(model.slope)])
        fluctuations = model.fluctuation[np.isfinite(model.fluctuation)]
        row = facts[model.label] | {
            "replicas": model.n_replicas,
            "broken": int(model.stable.is_broken.sum()),
            "median_stable_ps": finite(curve.median_ps),
            "median_stable_ci95_ps": [finite(end) for end in curve.median_ci95_ps],
            "watched_ps": curve.end_ps,
            "median_drift_meV_atom_ps": middle(slopes),
            "median_drift_ci95": interval(slopes),
            "median_fluctuation_meV_atom": middle(fluctuations),
        }
        if against is not None and against.survival is not None:
            survival = against.survival
            row["outlived_default"] = survival.n_first
            row["outlived_by_default"] = survival.n_other
            row["survival_p"] = survival.p_value
        if against is not None and against.drift is not None:
            row["drift_minus_default"] = finite(against.drift.median)
            row["drift_p"] = finite(against.drift.p_value)
        rows[model.label] = row
    return rows


def improvement_where_default_fails(rows: list[Line]) -> Line:
    """Return the gain of each variant over the default, of the settings on which that fails.

    A setting is a base model at a temperature. Of survival: the ratio of median stable times, where
    a median beyond the end of the run counts as the end, so that ratios are lower bounds; and the
    replicas that broke, of all those settings together. Of drift: the default's median |drift| over
    the variant's.

    Args:
        rows: of `row_of`, under `variants`, with `kind`, `seed` and `temperature_K`.
    """
    found: Line = {}
    for name in rows[0]["variants"] if rows else ():
        if name == "default":
            continue
        times, drifts = [], []
        broken = {"default": 0, name: 0, "of": 0}
        for row in rows:
            default, other = row["variants"]["default"], row["variants"][name]
            if default["broken"] > BROKEN_PART * default["replicas"]:
                times.append(stable_ps(other) / stable_ps(default))
                broken["default"] += default["broken"]
                broken[name] += other["broken"]
                broken["of"] += default["replicas"]
            # Of a variant that blew up there is no drift, and no gain.
            before, after = (row["median_drift_meV_atom_ps"] or 0.0 for row in (default, other))
            if before > DRIFT:
                drifts.append(before / after if after > 0.0 else 0.0)
        found[name] = {
            "broken": broken,
            "median_stable_time": gain(times),
            "median_drift": gain(drifts),
        }
    return found


def stable_ps(variant: Line) -> float:
    """Return the median stable time, or the end of watching where more than half were stable."""
    median = variant["median_stable_ps"]
    return float(variant["watched_ps"] if median is None else median)


def gain(ratios: list[float]) -> Line:
    """Return the ratios' median, least and largest."""
    if not ratios:
        return {"settings": 0}
    return {
        "settings": len(ratios),
        "median": round(float(np.median(ratios)), 3),
        "least": round(min(ratios), 3),
        "largest": round(max(ratios), 3),
    }


def middle(values: Any) -> float | None:
    """Return the median; None where there are no numbers."""
    return float(np.median(values)) if len(values) else None


def interval(values: Any, resamples: int = 2000) -> list[float] | None:
    """Return the 95 % interval of the median, a percentile bootstrap over replicas."""
    if not len(values):
        return None
    rows = np.random.default_rng(0).integers(0, len(values), (resamples, len(values)))
    low, high = np.quantile(np.median(np.asarray(values)[rows], axis=1), (0.025, 0.975))
    return [float(low), float(high)]


def finite(value: float) -> float | None:
    """Return the number, None where it is infinite or none."""
    return float(value) if np.isfinite(value) else None
