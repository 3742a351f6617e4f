"""Run folders of several models -> `Comparison`: each model's numbers, and against the first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fisher_mlip.analysis import AnalysisConfig, read_run
from fisher_mlip.compare.observables import (
    ObservableDistances,
    observable_distances,
    observe,
)
from fisher_mlip.compare.replicas import Replicas, read_replicas
from fisher_mlip.compare.starts import check_same_start, differing_settings
from fisher_mlip.compare.statistics import (
    FEWEST_PAIRS,
    PairedDifference,
    PairedSurvival,
    paired_difference,
    paired_survival,
)
from fisher_mlip.errors import InputError
from fisher_mlip.simulate.folder import RunFolder


@dataclass(frozen=True)
class AgainstFirst:
    """A model minus the first, by replicas that started alike.

    Attributes:
        drift: of the magnitude of the slope, meV/atom/ps; None where no energy is conserved.
        fluctuation: meV/atom; None likewise.
        survival: of the stable times; None where no bonds were watched.
    """

    drift: PairedDifference | None
    fluctuation: PairedDifference | None
    survival: PairedSurvival | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models side by side.

    Attributes:
        models: in the order in which they were given.
        against_first: of each; None of the first.
        observables: of each, against the reference; None without one.
        config: thresholds and seed.
        notes: what limits the comparison, in sentences.
    """

    models: tuple[Replicas, ...]
    against_first: tuple[AgainstFirst | None, ...]
    observables: tuple[ObservableDistances | None, ...]
    config: AnalysisConfig
    notes: tuple[str, ...]


def is_run(path: Path) -> bool:
    """Return whether a path is a run folder, or a folder of `replica-*` run folders."""
    return bool(run_folders(path))


def run_folders(path: Path) -> list[Path]:
    """Return the run folders that a path names: itself, or its `replica-*`; none of a model."""
    if RunFolder(path).config.is_file():
        return [path]
    return [own for own in sorted(path.glob("replica-*")) if RunFolder(own).config.is_file()]


def compare_runs(
    groups: Sequence[Sequence[Path]],
    labels: Sequence[str],
    config: AnalysisConfig | None = None,
    reference: Path | None = None,
) -> Comparison:
    """Compare the runs of several models, the replicas of which started alike.

    Args:
        groups: of each model, one run of independent molecules, or a run a replica.
        labels: one each.
        config: options; the defaults if None.
        reference: run of a potential that is trusted, for observables; None for none.

    Raises:
        InputError: fewer than two models, runs that do not start alike, or a reference of other
            molecules.
    """
    if len(groups) < 2:
        raise InputError(f"expected two models or more to compare, found {len(groups)}")
    config = config if config is not None else AnalysisConfig()
    runs = [
        [read_run(path, label) for path in paths]
        for paths, label in zip(groups, labels, strict=True)
    ]
    for other in runs[1:]:
        check_same_start(runs[0], other)
    models = tuple(
        read_replicas(label, own, config) for own, label in zip(runs, labels, strict=True)
    )
    against = (None, *(_against(models[0], other, config.seed) for other in models[1:]))
    observables = _observables(models, reference, config.seed)
    return Comparison(models, against, observables, config, _notes(models))


def _observables(
    models: Sequence[Replicas], reference: Path | None, seed: int
) -> tuple[ObservableDistances | None, ...]:
    if reference is None:
        return (None,) * len(models)
    trusted = observe([read_run(path) for path in run_folders(reference) or [reference]])
    return tuple(observable_distances(model.runs, trusted, seed=seed) for model in models)


def _against(first: Replicas, other: Replicas, seed: int) -> AgainstFirst:
    drift = fluctuation = survival = None
    if np.isfinite(first.slope).any() and np.isfinite(other.slope).any():
        drift = paired_difference(np.abs(first.slope), np.abs(other.slope), seed=seed)
        fluctuation = paired_difference(first.fluctuation, other.fluctuation, seed=seed)
    if first.stable is not None and other.stable is not None:
        survival = paired_survival(
            first.stable.time_ps,
            first.stable.is_broken,
            other.stable.time_ps,
            other.stable.is_broken,
        )
    return AgainstFirst(drift, fluctuation, survival)


def _notes(models: Sequence[Replicas]) -> tuple[str, ...]:
    notes, first = [], models[0]
    if first.n_replicas < FEWEST_PAIRS:
        notes.append(
            f"{first.n_replicas} replicas: with fewer than {FEWEST_PAIRS} no signed-rank test "
            "reaches p = 0.05"
        )
    if len(models) > 2:
        notes.append(f"p values are of {len(models) - 1} comparisons each, not corrected for that")
    for model in models[1:]:
        differing = differing_settings(first.runs[0], model.runs[0])
        notes += [f"{first.label} and {model.label} differ in {what}" for what in differing]
    lengths = {round(run.duration_ps, 6) for model in models for run in model.runs}
    if len(lengths) > 1:
        notes.append(
            f"runs cover {min(lengths):g} to {max(lengths):g} ps: slopes are over the length of "
            "each, stable times of shorter ones are censored at their end"
        )
    for model in models:
        ended = sum(run.ledger.first_nonfinite_ps is not None for run in model.runs)
        if ended and model.runs[0].molecules is not None:
            notes.append(
                f"{model.label} ended at an energy that is not finite: all its molecules were "
                "watched only until then"
            )
    return tuple(notes)
