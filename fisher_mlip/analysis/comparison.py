"""`Report` -> the rows of the comparison table, runs as columns."""

from collections.abc import Callable

import numpy as np

from fisher_mlip.analysis.averages import Mean
from fisher_mlip.analysis.criteria import CriterionResult
from fisher_mlip.analysis.energy import EnergyDrift
from fisher_mlip.analysis.report import Report, RunReport
from fisher_mlip.analysis.verdict import bonds_of, is_conserved, number, signed
from fisher_mlip.slopes import RESOLVED_SAMPLES

UNKNOWN = "–"
Cell = Callable[[RunReport], str]


def comparison_rows(report: Report) -> list[tuple[str, list[str]]]:
    """Return (what, one cell a run) for every row that any run has a number for."""
    discard = f"without first {100.0 * report.config.discard_fraction:g} %"
    energy = f"{report.config.energy_threshold:g} eV"
    rows: list[tuple[str, Cell]] = [
        ("System", _system),
        ("Run", _run),
        ("Broken molecules", _broken),
        ("First break / ps", lambda f: _known(f.stability.first_ps) if f.stability else UNKNOWN),
        ("Median stable time / ps", _median),
        ("Unbroken at the end", _survival),
        ("Drift / (meV/atom/ps)", lambda f: _drift(f, f.drift)),
        (f"Drift {discard} / (meV/atom/ps)", lambda f: _drift(f, f.drift_after_discard)),
        ("|Drift over the run| / std of kinetic energy", _over_kinetic),
        ("Total energy, std about the line / (meV/atom)", _fluctuation),
        ("Drift by molecule, median (5 %, 95 %) / (meV/atom/ps)", _molecule_drift),
        ("Energy spread by molecule, median (5 %, 95 %) / eV", _spread),
        (f"Molecules that spread more than {energy}", _above),
        ("Force uncertainty, median and largest of an atom / (meV/Å)", _uncertainty),
        (f"Temperature {discard} / K", lambda f: _mean(f.temperatures.mean)),
        ("Temperature, last tenth / K", _last_temperature),
        (f"Equipartition {discard}, T(element) / T", _equipartition),
        (f"Density {discard} / (g/mL)", _density),
    ]
    table = [(name, [cell(found) for found in report.runs]) for name, cell in rows]
    table += _criterion_rows(report)
    return [(name, cells) for name, cells in table if any(cell != UNKNOWN for cell in cells)]


def _criterion_rows(report: Report) -> list[tuple[str, list[str]]]:
    """Return the first failure of each criterion beside bonds, a row each."""
    columns = [{_criterion(one): one for one in found.criteria} for found in report.runs]
    names = list(dict.fromkeys(name for column in columns for name in column))
    return [(name, [_failure(column.get(name)) for column in columns]) for name in names]


def _criterion(one: CriterionResult) -> str:
    unit = f" {one.unit}" if one.unit else ""
    return f"First failure: {one.name} (bound {one.threshold:g}{unit}) / ps"


def _failure(one: CriterionResult | None) -> str:
    if one is None:
        return UNKNOWN
    if not np.isfinite(one.first_ps):
        return f"never{_worst(one)}"
    place = f" ({one.where})" if one.where else ""
    return f"{number(one.first_ps)}{place}{_worst(one)}"


def _worst(one: CriterionResult) -> str:
    # What chance explains counts as nothing.
    return "; never beyond chance" if one.worst == 0.0 else f"; at worst {number(one.worst)}"


def _uncertainty(found: RunReport) -> str:
    spread = found.uncertainty
    if spread is None:
        return UNKNOWN
    return f"{1000.0 * np.median(spread.median):.1f}, {1000.0 * np.nanmax(spread.largest):.1f}"


def _system(found: RunReport) -> str:
    reference = found.run.reference
    molecules = f"{reference.n_molecules} molecules, " if reference.n_molecules else ""
    return f"{molecules}{reference.n_atoms} atoms"


def _run(found: RunReport) -> str:
    config = found.run.config
    return (
        f"{config.ensemble.upper()}, {found.run.duration_ps:.4g} ps, "
        f"{config.temperature:g} K at start, {config.timestep:g} fs"
    )


def _broken(found: RunReport) -> str:
    stability = found.stability
    if stability is None:
        return UNKNOWN
    text = f"{stability.n_broken} of {stability.n_watched}"
    return f"{text} ({bonds_of(stability.bond_counts)})" if stability.n_broken else text


def _median(found: RunReport) -> str:
    if found.stability is None:
        return UNKNOWN
    curve = found.stability.curve
    if not np.isfinite(curve.median_ps):
        return f"> {curve.end_ps:.4g}"
    low, high = curve.median_ci95_ps
    return f"{number(curve.median_ps)} [{number(low)}, {number(high)}]".replace("inf", "∞")


def _survival(found: RunReport) -> str:
    if found.stability is None:
        return UNKNOWN
    curve = found.stability.curve
    edges = (curve.survival[-1], curve.low[-1], curve.high[-1])
    now, low, high = (f"{100.0 * edge:.0f}" for edge in edges)
    return f"{now} % [{low}, {high}]"


def _drift(found: RunReport, drift: EnergyDrift) -> str:
    slope = drift.slope
    if not is_conserved(found.run) or not np.isfinite(slope.value):
        return UNKNOWN
    if np.isnan(slope.low):
        return f"{signed(slope.value)} [too short]"
    mark = "" if slope.is_resolved else " *"
    return f"{signed(slope.value)} [{number(slope.low)}, {number(slope.high)}]{mark}"


def _over_kinetic(found: RunReport) -> str:
    if not is_conserved(found.run):
        return UNKNOWN
    return _with_interval(found.drift.over_std_kinetic, *found.drift.over_std_kinetic_ci95)


def _fluctuation(found: RunReport) -> str:
    fluctuation = found.drift.fluctuation
    return _with_interval(fluctuation.value, fluctuation.low, fluctuation.high)


def _with_interval(value: float, low: float, high: float) -> str:
    interval = f" [{number(low)}, {number(high)}]" if np.isfinite(low) else ""
    return _known(value) + interval if np.isfinite(value) else UNKNOWN


def _molecule_drift(found: RunReport) -> str:
    if found.molecules is None:
        return UNKNOWN
    low, middle, high = found.molecules.slope_quantiles
    return f"{signed(middle)} ({signed(low)}, {signed(high)})"


def _spread(found: RunReport) -> str:
    if found.molecules is None:
        return UNKNOWN
    low, middle, high = found.molecules.spread_quantiles
    return f"{number(middle)} ({number(low)}, {number(high)})".replace("inf", "∞")


def _above(found: RunReport) -> str:
    drift = found.molecules
    if drift is None:
        return UNKNOWN
    return f"{drift.n_above} of {len(drift.spread)}"


def _equipartition(found: RunReport) -> str:
    ratios = found.temperatures.ratios
    cells = (f"{name} {m.value:.3f} ± {m.half_width:.3f}" for name, m in ratios.items())
    return ", ".join(cells) or UNKNOWN


def _density(found: RunReport) -> str:
    if found.density is None:
        return UNKNOWN
    mark = "" if found.density.effective_samples >= RESOLVED_SAMPLES else " *"
    return f"{_mean(found.density.mean)}{mark}"


def _mean(mean: Mean) -> str:
    return f"{mean.value:.4g} ± {mean.half_width:.2g}" if np.isfinite(mean.value) else UNKNOWN


def _last_temperature(found: RunReport) -> str:
    last = found.temperatures.last_tenth
    return f"{last:.4g}" if np.isfinite(last) else UNKNOWN


def _known(value: float) -> str:
    return number(value) if np.isfinite(value) else UNKNOWN
