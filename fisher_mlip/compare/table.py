"""`Comparison` -> rows of a table, models as columns, and the numbers of summary.json."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from fisher_mlip.analysis.energy import quantiles
from fisher_mlip.analysis.observables import Distance
from fisher_mlip.analysis.verdict import number, signed
from fisher_mlip.compare.comparison import AgainstFirst, Comparison
from fisher_mlip.compare.observables import ObservableDistances
from fisher_mlip.compare.replicas import Replicas
from fisher_mlip.compare.statistics import PairedDifference, PairedSurvival
from fisher_mlip.data.frames import FloatArray

UNKNOWN = "–"
Row = tuple[str, list[str]]


def table_rows(comparison: Comparison) -> list[Row]:
    """Return (what, one cell a model) for every row that any model has a number for."""
    first = comparison.models[0].label
    models: list[tuple[str, Callable[[Replicas], str]]] = [
        ("Replicas", _replicas),
        ("|Drift|, median (5 %, 95 %) / (meV/atom/ps)", lambda m: _quantiles(np.abs(m.slope))),
        ("Fluctuation, median (5 %, 95 %) / (meV/atom)", lambda m: _quantiles(m.fluctuation)),
        ("|Drift over the run| / std of kinetic energy", _ratio),
        ("Broken replicas", _broken),
        ("Median stable time / ps", _median),
    ]
    pairs: list[tuple[str, Callable[[AgainstFirst], str]]] = [
        (f"|Drift| minus {first}: median [95 %], p", lambda a: _difference(a.drift)),
        (f"Fluctuation minus {first}: median [95 %], p", lambda a: _difference(a.fluctuation)),
        (f"Broke before / after {first}, p (log-rank p)", lambda a: _survival(a.survival)),
    ]
    rows = [(name, [cell(model) for model in comparison.models]) for name, cell in models]
    rows += [
        (name, [UNKNOWN if one is None else cell(one) for one in comparison.against_first])
        for name, cell in pairs
    ]
    rows += _observable_rows(comparison)
    return [(name, cells) for name, cells in rows if any(cell != UNKNOWN for cell in cells)]


def _observable_rows(comparison: Comparison) -> list[Row]:
    """Return the distances to the reference, a row an observable."""
    columns = [_distances(found) for found in comparison.observables]
    names = list(dict.fromkeys(name for column in columns for name in column))
    return [
        (name, [_distance(column[name]) if name in column else UNKNOWN for column in columns])
        for name in names
    ]


def _distances(found: ObservableDistances | None) -> dict[str, Distance]:
    if found is None:
        return {}
    return {
        "h(r) to reference (noise)": found.geometry.distances,
        **{f"Bond {kind} to reference / Å": d for kind, d in found.geometry.bonds.items()},
        **{f"Angle {kind} to reference / °": d for kind, d in found.geometry.angles.items()},
        **{f"g(r) {pair} to reference / Å": d for pair, d in found.radial.items()},
    }


def _distance(found: Distance) -> str:
    return f"{number(found.value)} ± {number(found.error)} ({number(found.noise)})"


def summarize(comparison: Comparison) -> dict[str, Any]:
    """Return everything in numbers; a key names its unit."""
    models = [
        _summarize_model(model, against)
        | {"observables": None if observables is None else asdict(observables)}
        for model, against, observables in zip(
            comparison.models, comparison.against_first, comparison.observables, strict=True
        )
    ]
    return {
        "models": models,
        "first": comparison.models[0].label,
        "notes": list(comparison.notes),
        "tests": {
            "difference": "Wilcoxon signed-rank, two-sided; median with a percentile bootstrap",
            "survival": "log-rank stratified by pairs, exact binomial; log-rank of the curves",
        },
        "options": comparison.config.model_dump(mode="json"),
    }


def _summarize_model(model: Replicas, against: AgainstFirst | None) -> dict[str, Any]:
    return {
        "label": model.label,
        "runs": [str(run.path) for run in model.runs],
        "model": model.runs[0].reference.provenance.get("model"),
        "model_sha256": model.runs[0].reference.provenance.get("model_sha256"),
        "replicas": model.n_replicas,
        "duration_ps": [run.duration_ps for run in model.runs],
        "nve_energy_conservation": model.metrics,
        "drift_meV_per_atom_per_ps": model.slope.tolist(),
        "fluctuation_meV_per_atom": model.fluctuation.tolist(),
        **_summarize_stable(model),
        "against_first": None if against is None else asdict(against),
    }


def _summarize_stable(model: Replicas) -> dict[str, Any]:
    if model.stable is None:
        return {}
    curve = model.stable.curve
    return {
        "stable_time_ps": model.stable.time_ps.tolist(),
        "is_broken": model.stable.is_broken.tolist(),
        "median_stable_time_ps": curve.median_ps,
        "median_stable_time_ci95_ps": list(curve.median_ci95_ps),
        "survival_at_end": float(curve.survival[-1]),
    }


def _replicas(model: Replicas) -> str:
    kind = "molecules" if model.runs[0].molecules is not None else "runs"
    longest = max(run.duration_ps for run in model.runs)
    return f"{model.n_replicas} {kind}, {longest:.4g} ps"


def _quantiles(values: FloatArray) -> str:
    low, middle, high = quantiles(values[np.isfinite(values)])
    if not np.isfinite(middle):
        return UNKNOWN
    return f"{number(middle)} ({number(low)}, {number(high)})"


def _ratio(model: Replicas) -> str:
    ratio = model.metrics.get("drift_over_std_kinetic", np.nan)
    return number(ratio) if np.isfinite(ratio) else UNKNOWN


def _broken(model: Replicas) -> str:
    if model.stable is None:
        return UNKNOWN
    return f"{int(model.stable.is_broken.sum())} of {model.n_replicas}"


def _median(model: Replicas) -> str:
    if model.stable is None:
        return UNKNOWN
    curve = model.stable.curve
    if not np.isfinite(curve.median_ps):
        return f"> {curve.end_ps:.4g}"
    low, high = curve.median_ci95_ps
    return f"{number(curve.median_ps)} [{number(low)}, {number(high)}]".replace("inf", "∞")


def _difference(found: PairedDifference | None) -> str:
    if found is None or not found.n_pairs:
        return UNKNOWN
    left_out = f", {found.n_left_out} left out" if found.n_left_out else ""
    interval = f"[{number(found.low)}, {number(found.high)}]"
    return f"{signed(found.median)} {interval}, p = {found.p_value:.2g}{left_out}"


def _survival(found: PairedSurvival | None) -> str:
    if found is None:
        return UNKNOWN
    return (
        f"{found.n_other} / {found.n_first}, p = {found.p_value:.2g} "
        f"({found.logrank_p_value:.2g}); {found.n_undecided} undecided"
    )
