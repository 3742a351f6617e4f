"""Drift -> the metrics that other benchmarks publish of an NVE run, by their names."""

from collections.abc import Sequence

import numpy as np

from fisher_mlip.analysis.energy import MEV_PER_EV, EnergyDrift


def conservation_metrics(drifts: Sequence[EnergyDrift], n_atoms: int) -> dict[str, float]:
    """Return the energy conservation of one run, or its mean over runs of one system.

    Args:
        drifts: of the whole runs, one each.
        n_atoms: of the system.

    Returns:
        `drift_slope_ev_per_ps`, `total_drift_ev`, `kinetic_energy_std_ev` and
        `energy_drift_ratio` as mlipaudit's `nve_energy_conservation`; magnitude per atom and that
        ratio as ml-peg's Energy Drift (meV/atom/ps) and Energy Drift Ratio, whose plain names are
        `energy_drift_meV_per_atom_per_ps` and `drift_over_std_kinetic`.

    Source: mlipaudit, `nve_energy_conservation`: the line through the total energy times the length
        of the run, over the standard deviation of the kinetic energy.
    """
    scale = n_atoms / MEV_PER_EV
    slopes = np.array([drift.slope.value for drift in drifts])
    spans = np.array([drift.end_ps - drift.start_ps for drift in drifts])
    ratio = float(np.mean([drift.over_std_kinetic for drift in drifts]))
    return {
        "energy_drift_meV_per_atom_per_ps": float(np.abs(slopes).mean()),
        "drift_over_std_kinetic": ratio,
        "energy_drift_ratio": ratio,
        "drift_slope_ev_per_ps": float(slopes.mean() * scale),
        "total_drift_ev": float((np.abs(slopes) * spans).mean() * scale),
        "kinetic_energy_std_ev": float(np.mean([drift.kinetic_std for drift in drifts]) * scale),
    }
