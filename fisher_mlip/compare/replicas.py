"""The runs of one model -> energy, drift and stable time of each replica."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fisher_mlip.analysis.config import AnalysisConfig
from fisher_mlip.analysis.conservation import conservation_metrics
from fisher_mlip.analysis.energy import EnergyDrift, energy_drift, molecule_drift
from fisher_mlip.analysis.run import MoleculeEnergies, Run
from fisher_mlip.analysis.stability import Stability, find_breaks
from fisher_mlip.analysis.survival import KaplanMeier, kaplan_meier
from fisher_mlip.analysis.verdict import is_conserved
from fisher_mlip.compare.starts import are_independent
from fisher_mlip.data.frames import BoolArray, FloatArray
from fisher_mlip.errors import InputError


@dataclass(frozen=True, eq=False)
class StableTimes:
    """When replicas broke.

    Attributes:
        time_ps: (n_replicas,), of the first broken bond or number that is not finite, or of the
            end of watching.
        is_broken: (n_replicas,).
    """

    time_ps: FloatArray
    is_broken: BoolArray

    @property
    def curve(self) -> KaplanMeier:
        return kaplan_meier(self.time_ps, self.is_broken)


@dataclass(frozen=True, eq=False)
class Replicas:
    """What was measured of one model.

    Attributes:
        label: of the model.
        runs: one with a molecule a replica, or one a replica.
        energies: total energy of each replica, eV by molecule; NaN from where it was not finite.
        slope: (n_replicas,), meV/atom/ps; NaN where the energy ceased to be finite or is not
            conserved.
        fluctuation: (n_replicas,), meV/atom, standard deviation about the line; NaN likewise.
        stable: None where no bonds were watched.
        metrics: of the energy's conservation, by the names of other benchmarks; empty without it.
    """

    label: str
    runs: tuple[Run, ...]
    energies: MoleculeEnergies
    slope: FloatArray
    fluctuation: FloatArray
    stable: StableTimes | None
    metrics: dict[str, float]

    @property
    def n_replicas(self) -> int:
        return len(self.slope)


def read_replicas(label: str, runs: Sequence[Run], config: AnalysisConfig) -> Replicas:
    """Measure the replicas of one model.

    Args:
        label: of the model.
        runs: one of independent molecules, or any number of others.
        config: threshold of bonds, their reference, seed.

    Raises:
        InputError: several runs of independent molecules.
    """
    drifts = [
        energy_drift(run.ledger, run.reference.n_atoms, discard_fraction=0.0, seed=config.seed)
        for run in runs
    ]
    if are_independent(runs[0]):
        if len(runs) > 1:
            raise InputError(
                f"expected one run of independent molecules of '{label}', found {len(runs)}"
            )
        if runs[0].molecules is None:
            raise InputError(
                f"expected 3 rows or more in '{runs[0].path / 'molecules.csv'}', found fewer"
            )
        return _of_molecules(label, runs[0], drifts, config)
    return _of_runs(label, runs, drifts, config)


def _of_molecules(
    label: str, run: Run, drifts: list[EnergyDrift], config: AnalysisConfig
) -> Replicas:
    assert run.molecules is not None
    drift = molecule_drift(run.molecules, run.reference, energy_threshold=config.energy_threshold)
    # Three rows or more: a run with fewer has no energies of molecules.
    assert drift is not None
    stability = _breaks(run, config)
    stable = _stable_molecules(run, stability)
    is_judged = is_conserved(run)
    unknown = np.full(len(drift.slope), np.nan)
    return Replicas(
        label,
        (run,),
        run.molecules,
        drift.slope if is_judged else unknown,
        drift.fluctuation if is_judged else unknown,
        stable,
        conservation_metrics(drifts, run.reference.n_atoms) if is_judged else {},
    )


def _of_runs(
    label: str, runs: Sequence[Run], drifts: list[EnergyDrift], config: AnalysisConfig
) -> Replicas:
    first = runs[0]
    is_judged = is_conserved(first)
    blown = np.array([run.ledger.first_nonfinite_ps is not None for run in runs])
    hidden = blown | (not is_judged)
    slopes = np.array([drift.slope.value for drift in drifts])
    fluctuations = np.array([drift.fluctuation.value for drift in drifts])
    stable = [_stable_run(run, config) for run in runs]
    known = [found for found in stable if found is not None]
    return Replicas(
        label,
        tuple(runs),
        _energies(runs),
        np.where(hidden, np.nan, slopes),
        np.where(hidden, np.nan, fluctuations),
        StableTimes(np.array([t for t, _ in known]), np.array([broke for _, broke in known]))
        if len(known) == len(runs)
        else None,
        conservation_metrics(drifts, first.reference.n_atoms) if is_judged else {},
    )


def _energies(runs: Sequence[Run]) -> MoleculeEnergies:
    """Return the total energies of runs as columns, by molecule, NaN after the end of each."""
    longest = max((run.ledger.time_ps for run in runs), key=len)
    energy = np.full((len(longest), len(runs)), np.nan)
    for column, run in enumerate(runs):
        total = run.ledger.total
        energy[: len(total), column] = total / max(1, run.reference.n_molecules)
    return MoleculeEnergies(longest, energy)


def _breaks(run: Run, config: AnalysisConfig) -> Stability | None:
    """Watch bonds against lengths that are the same in every model: those of the common start."""
    return find_breaks(run, threshold=config.threshold, reference=config.reference, from_start=True)


def _stable_molecules(run: Run, stability: Stability | None) -> StableTimes | None:
    """Return when molecules broke; one of them did where a number of the whole was not finite.

    That is the one whose energy had gone furthest in the last row.
    """
    if stability is None or stability.n_watched != run.reference.n_molecules:
        return None
    time, is_broken = stability.time_ps.copy(), stability.is_broken.copy()
    end = run.ledger.first_nonfinite_ps
    if end is not None and run.molecules is not None:
        change = np.abs(run.molecules.energy[-1] - run.molecules.energy[0])
        worst = int(np.argmax(np.nan_to_num(change, nan=np.inf)))
        if not is_broken[worst]:
            time[worst], is_broken[worst] = end, True
    return StableTimes(time, is_broken)


def _stable_run(run: Run, config: AnalysisConfig) -> tuple[float, bool] | None:
    """Return when a run lost its first bond or a number, or until when it was watched."""
    stability = _breaks(run, config)
    blown_up = run.ledger.first_nonfinite_ps
    first = stability.first_ps if stability is not None else np.inf
    if blown_up is not None:
        first = min(first, blown_up)
    if np.isfinite(first):
        return float(first), True
    return None if stability is None else (float(stability.time_ps.max()), False)
