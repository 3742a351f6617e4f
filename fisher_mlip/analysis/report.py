"""Run folders -> `Report`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fisher_mlip.analysis.config import AnalysisConfig
from fisher_mlip.analysis.criteria import CriterionResult, criteria_of
from fisher_mlip.analysis.density import Density, density_of
from fisher_mlip.analysis.energy import EnergyDrift, MoleculeDrift, energy_drift, molecule_drift
from fisher_mlip.analysis.lammps_trajectory import dump_notes
from fisher_mlip.analysis.reading import read_run
from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.segments import trajectory_notes
from fisher_mlip.analysis.stability import Stability, find_breaks
from fisher_mlip.analysis.temperature import Temperatures, heating_of, temperatures
from fisher_mlip.analysis.uncertainty import ForceUncertainty, force_uncertainty
from fisher_mlip.analysis.verdict import Status, limits_of, status_of, verdict_of
from fisher_mlip.errors import InputError


@dataclass(frozen=True, eq=False)
class RunReport:
    """What was found in one run.

    Attributes:
        run: the run.
        drift: of the total energy, over all rows.
        drift_after_discard: the same without the discarded start.
        molecules: drift by molecule, or None where molecules are not independent.
        stability: breaks of bonds, or None without a trajectory or bonds.
        temperatures: after the discarded start.
        density: likewise, or None where the box does not change.
        uncertainty: of the model's forces, or None where it was not asked for or is not told.
        criteria: the field's, beside bonds, with their first failures.
        status, verdict: the judgement, as a word and as a sentence.
        limits: what cannot be concluded, in sentences.
        notes: what was missing or torn, or was asked for and cannot be told, in sentences.
    """

    run: Run
    drift: EnergyDrift
    drift_after_discard: EnergyDrift
    molecules: MoleculeDrift | None
    stability: Stability | None
    temperatures: Temperatures
    density: Density | None
    uncertainty: ForceUncertainty | None
    criteria: tuple[CriterionResult, ...]
    status: Status
    verdict: str
    limits: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """Runs side by side.

    Attributes:
        runs: in the order in which they were given.
        config: what was asked for.
        notes: remarks on the comparison, in sentences.
    """

    runs: tuple[RunReport, ...]
    config: AnalysisConfig
    notes: tuple[str, ...]


def analyze_runs(
    paths: Sequence[Path],
    *,
    labels: Sequence[str] | None = None,
    config: AnalysisConfig | None = None,
) -> Report:
    """Read run folders and measure drift, breaks and temperatures.

    Args:
        paths: run folders.
        labels: names for tables and plots; the folders' names if None.
        config: options; the defaults if None.

    Raises:
        InputError: no run folder, too few rows, or labels that do not fit.
    """
    config = config if config is not None else AnalysisConfig()
    names = run_labels(paths, labels)
    runs = [read_run(path, name) for path, name in zip(paths, names, strict=True)]
    return Report(tuple(_analyze(run, config) for run in runs), config, _comparison_notes(runs))


def _analyze(run: Run, config: AnalysisConfig) -> RunReport:
    n_atoms = run.reference.n_atoms
    drift, later = (
        energy_drift(
            run.ledger,
            n_atoms,
            discard_fraction=fraction,
            seed=config.seed,
            after_ps=run.rewound_ps,
        )
        for fraction in (0.0, config.discard_fraction)
    )
    molecules = None
    if run.molecules is not None:
        molecules = molecule_drift(
            run.molecules,
            run.reference,
            energy_threshold=config.energy_threshold,
            after_ps=run.rewound_ps,
        )
    stability = find_breaks(run, threshold=config.threshold, reference=config.reference)
    heating = heating_of(run)
    status = status_of(run, drift, stability, heating)
    uncertainty, without_uncertainty = _uncertainty(run, config.uncertainty_frames)
    return RunReport(
        run,
        drift,
        later,
        molecules,
        stability,
        temperatures(run.ledger, discard_fraction=config.discard_fraction),
        density_of(run.ledger, discard_fraction=config.discard_fraction),
        uncertainty,
        criteria_of(run, config),
        status,
        verdict_of(run, status, drift, later, molecules, stability, heating),
        limits_of(run, drift, stability),
        (*run.notes, *_rewind_notes(run), *_trajectory_notes(run), *without_uncertainty),
    )


def _rewind_notes(run: Run) -> tuple[str, ...]:
    """Say where the rows begin that drifts are fitted to."""
    if run.rewound_ps is None:
        return ()
    models = run.summary.get("healings") or []
    model = f" and the model '{models[-1]['model']}'" if models else ""
    return (
        f"rewound to {run.rewound_ps:.4g} ps: drifts are of the rows after it, which have new "
        f"velocities{model}",
    )


def _trajectory_notes(run: Run) -> tuple[str, ...]:
    return trajectory_notes(run) if run.dump is None else dump_notes(run)


def _uncertainty(run: Run, n_frames: int) -> tuple[ForceUncertainty | None, tuple[str, ...]]:
    """Return the uncertainty and a note of it, or why there is none although it was asked for."""
    if n_frames == 0:
        return None, ()
    try:
        found = force_uncertainty(run, n_frames)
    except InputError as error:
        return None, (f"no force uncertainty: {error}",)
    if np.isnan(found.largest).all():
        return found, ()
    worst = int(np.nanargmax(found.largest))
    return found, (
        f"forces are uncertain by {1000.0 * np.median(found.median):.1f} meV/Å (median over atoms "
        f"and frames), by {1000.0 * found.largest[worst]:.1f} at most, at "
        f"{found.time_ps[worst]:.4g} ps{_by_healed(found)}",
    )


def _by_healed(found: ForceUncertainty) -> str:
    names = ", ".join(f"'{model}'" for model in found.healed)
    return f"; frames after a healing are judged by the healed model ({names})" if names else ""


def run_labels(paths: Sequence[Path], labels: Sequence[str] | None) -> list[str]:
    """Return the labels, or names of the folders that tell them apart.

    Raises:
        InputError: no folder, one given twice, or labels that do not fit.
    """
    if not paths:
        raise InputError("expected at least one run folder, found none")
    if labels is not None:
        if len(labels) != len(paths) or len(set(labels)) != len(labels) or "" in labels:
            raise InputError(
                f"expected {len(paths)} different labels, one a run, found {', '.join(labels)!r}"
            )
        return list(labels)
    folders = [path.resolve() for path in paths]
    if len(set(folders)) != len(folders):
        raise InputError("expected different run folders, found one given twice")
    names = [folder.name for folder in folders]
    if len(set(names)) == len(names):
        return names
    names = [f"{folder.parent.name}/{folder.name}" for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _comparison_notes(runs: Sequence[Run]) -> tuple[str, ...]:
    notes = []
    first = runs[0]
    for run in runs[1:]:
        if run.reference.symbols != first.reference.symbols:
            notes.append(
                f"{run.label} is another system than {first.label} ({run.reference.n_atoms} and "
                f"{first.reference.n_atoms} atoms): compare their numbers with care."
            )
        differing = [
            key
            for key in ("ensemble", "temperature", "timestep")
            if getattr(run.config, key) != getattr(first.config, key)
        ]
        if differing:
            notes.append(f"{run.label} and {first.label} differ in {', '.join(differing)}.")
    if len({round(run.duration_ps, 6) for run in runs}) > 1:
        notes.append("The runs are of different lengths: a longer run has more time to break.")
    return tuple(notes)
