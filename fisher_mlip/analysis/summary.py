"""`Report` -> the numbers of summary.json; a key names its unit."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from fisher_mlip import __version__
from fisher_mlip.analysis.conservation import conservation_metrics
from fisher_mlip.analysis.criteria import CriterionResult
from fisher_mlip.analysis.density import Density
from fisher_mlip.analysis.energy import EnergyDrift, MoleculeDrift
from fisher_mlip.analysis.report import Report, RunReport
from fisher_mlip.analysis.stability import Stability
from fisher_mlip.analysis.temperature import Temperatures
from fisher_mlip.analysis.uncertainty import ForceUncertainty
from fisher_mlip.analysis.verdict import is_conserved


def summarize(report: Report) -> dict[str, Any]:
    """Return everything the report says in numbers; infinite and unknown become null in JSON."""
    return {
        "runs": [summarize_run(run) for run in report.runs],
        "notes": list(report.notes),
        "options": report.config.model_dump(mode="json"),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of what computed the numbers."""
    names = ("mdtraj", "numpy", "scipy", "matplotlib")
    return {"fisher-mlip": __version__} | {name: version(name) for name in names}


def summarize_run(found: RunReport) -> dict[str, Any]:
    """Return the numbers of one run."""
    run = found.run
    return {
        "label": run.label,
        "path": str(run.path),
        "status": found.status,
        "verdict": found.verdict,
        "limits": list(found.limits),
        "notes": list(found.notes),
        "duration_ps": run.duration_ps,
        "n_rows": run.ledger.n_rows_read,
        "n_atoms": run.reference.n_atoms,
        "n_molecules": run.reference.n_molecules,
        "first_nonfinite_ps": run.ledger.first_nonfinite_ps,
        "alarms": [asdict(alarm) for alarm in run.alarms],
        **_drift(found.drift, ""),
        **_drift(found.drift_after_discard, "_after_discard"),
        **_conservation(found),
        **_molecules(found.molecules),
        **_stability(found.stability),
        **_temperatures(found.temperatures),
        **_density(found.density),
        **_uncertainty(found.uncertainty),
        "criteria": [_criterion(one) for one in found.criteria],
        "model": run.reference.provenance.get("model"),
        "model_sha256": run.reference.provenance.get("model_sha256"),
        "config": run.settings,
    }


def _criterion(found: CriterionResult) -> dict[str, Any]:
    curve = found.curve
    by_molecule = {}
    if curve is not None:
        by_molecule = {
            "median_time_ps": curve.median_ps,
            "median_time_ci95_ps": list(curve.median_ci95_ps),
            "survival_at_end": float(curve.survival[-1]),
            "survival_at_end_ci95": [float(curve.low[-1]), float(curve.high[-1])],
        }
    return {
        "name": found.name,
        "threshold": found.threshold,
        "unit": found.unit,
        "worst": found.worst,
        "first_failure_ps": found.first_ps,
        "where": found.where,
        **by_molecule,
    }


def _uncertainty(found: ForceUncertainty | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "force_uncertainty_time_ps": found.time_ps.tolist(),
        "force_uncertainty_median_meV_A": (1000.0 * found.median).tolist(),
        "force_uncertainty_largest_meV_A": (1000.0 * found.largest).tolist(),
        "force_uncertainty_atoms": found.n_atoms,
    }


def _drift(drift: EnergyDrift, suffix: str) -> dict[str, Any]:
    slope = drift.slope
    values = {
        "drift_meV_per_atom_per_ps": slope.value,
        "drift_ci95_meV_per_atom_per_ps": [slope.low, slope.high],
        "drift_interval_is_resolved": slope.is_resolved,
        "drift_effective_samples": slope.effective_samples,
        "drift_autocorrelation_rows": slope.autocorrelation_rows,
        "drift_block_rows": slope.block_rows,
        "drift_over_std_kinetic": drift.over_std_kinetic,
        "drift_over_std_kinetic_ci95": list(drift.over_std_kinetic_ci95),
        "total_energy_std_meV_per_atom": slope.residual_std,
        "total_energy_std_ci95_meV_per_atom": [drift.fluctuation.low, drift.fluctuation.high],
        "kinetic_energy_std_meV_per_atom": drift.kinetic_std,
    }
    return {key + suffix: value for key, value in values.items()}


def _conservation(found: RunReport) -> dict[str, Any]:
    """Return the metrics of other benchmarks, of runs whose energy should be conserved."""
    if not is_conserved(found.run):
        return {}
    n_atoms = found.run.reference.n_atoms
    return {"nve_energy_conservation": conservation_metrics([found.drift], n_atoms)}


def _molecules(drift: MoleculeDrift | None) -> dict[str, Any]:
    if drift is None:
        return {}
    slopes, spreads = drift.slope_quantiles, drift.spread_quantiles
    return {
        "molecule_drift_median_meV_per_atom_per_ps": slopes[1],
        "molecule_drift_p5_p95_meV_per_atom_per_ps": [slopes[0], slopes[2]],
        "molecule_spread_median_eV": spreads[1],
        "molecule_spread_p5_p95_eV": [spreads[0], spreads[2]],
        "molecule_spread_threshold_eV": drift.energy_threshold,
        "molecules_above_threshold": drift.n_above,
        "molecules_above_threshold_fraction": drift.fraction_above,
    }


def _stability(stability: Stability | None) -> dict[str, Any]:
    if stability is None:
        return {}
    curve = stability.curve
    return {
        "bond_threshold_A": stability.threshold,
        "bond_reference": stability.reference_source,
        "trajectory_frames": stability.n_frames,
        "trajectory_interval_ps": stability.interval_ps,
        "molecules_watched": stability.n_watched,
        "molecules_broken": stability.n_broken,
        "first_break_ps": stability.first_ps,
        "first_broken_bonds": stability.bond_counts,
        "median_stable_time_ps": curve.median_ps,
        "median_stable_time_ci95_ps": list(curve.median_ci95_ps),
        "survival_at_end": float(curve.survival[-1]),
        "survival_at_end_ci95": [float(curve.low[-1]), float(curve.high[-1])],
        "break_rate_ci95_per_molecule_per_ps": list(stability.rate_ci95),
        "molecule_time_ps": stability.time_ps.tolist(),
        "molecule_is_broken": stability.is_broken.tolist(),
    }


def _temperatures(found: Temperatures) -> dict[str, Any]:
    return {
        "temperature_K": found.mean.value,
        "temperature_half_width95_K": found.mean.half_width,
        "temperature_std_K": found.std,
        "temperature_last_tenth_K": found.last_tenth,
        "temperature_by_element_K": {name: mean.value for name, mean in found.elements.items()},
        "equipartition_ratio": {name: asdict(mean) for name, mean in found.ratios.items()},
    }


def _density(found: Density | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "density_g_mL": found.mean.value,
        "density_half_width95_g_mL": found.mean.half_width,
        "density_std_g_mL": found.std,
        "density_start_g_mL": found.start,
        "density_effective_samples": found.effective_samples,
    }
