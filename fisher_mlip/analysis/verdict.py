"""Numbers of a run -> its status, one sentence, and what cannot be concluded from it."""

from typing import Literal

import numpy as np

from fisher_mlip.analysis.energy import EnergyDrift, MoleculeDrift
from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.stability import Stability
from fisher_mlip.analysis.temperature import Heating

Status = Literal["stable", "no break seen", "heated", "drifting", "unstable", "unchecked"]

# A run is called stable when it has shown, at 95 %, that a molecule lives this long, ...
STABLE_LIFE_PS = 100.0
# ... and has been looked at this often: frames a few fs apart are one and the same state.
STABLE_FRAMES = 100


def status_of(
    run: Run, drift: EnergyDrift, stability: Stability | None, heating: Heating | None
) -> Status:
    """Judge a run.

    Returns:
        `unstable` when an energy ceased to be finite, a bond broke, the watch stopped the run or
        LAMMPS lost its atoms;
        `drifting` when an NVE run
        moved its total energy, significantly, by more than the standard deviation of its kinetic
        energy;
        `heated` when its temperature ended half above where it was started or is kept: the
        potential gave that energy, whether or not a bond broke;
        `unchecked` when there were no bonds or no trajectory to look for breaks in;
        `no break seen` when nothing broke in a run too short to say more (`is_long_enough`);
        `stable` otherwise.
    """
    is_stopped = run.summary.get("status") == "alarm"
    has_broken = stability is not None and stability.n_broken > 0
    if run.ledger.first_nonfinite_ps is not None or has_broken or is_stopped or run.failure:
        return "unstable"
    if is_conserved(run) and drift.slope.excludes_zero and drift.over_std_kinetic > 1.0:
        return "drifting"
    if heating is not None:
        return "heated"
    if stability is None:
        return "unchecked"
    return "stable" if is_long_enough(stability) else "no break seen"


def is_long_enough(stability: Stability) -> bool:
    """Return whether a run without a break was long enough to be called stable.

    The 95 % upper bound of the rate of breaks must leave a molecule a mean life of 100 ps or more,
    and the trajectory must have 100 frames.
    """
    _, high = stability.rate_ci95
    return high * STABLE_LIFE_PS <= 1.0 and stability.n_frames >= STABLE_FRAMES


def verdict_of(
    run: Run,
    status: Status,
    drift: EnergyDrift,
    later: EnergyDrift,
    molecules: MoleculeDrift | None,
    stability: Stability | None,
    heating: Heating | None,
) -> str:
    """Say in one sentence what happened.

    Args:
        run, status: what is judged, and how.
        drift, later: over all rows, and without the discarded start.
        molecules, stability: as far as they are known.
        heating: of a run that heated.
    """
    parts = []
    if run.failure:
        parts.append(f"LAMMPS ended after {run.duration_ps:.4g} ps with '{run.failure}'")
    elif run.ledger.first_nonfinite_ps is not None:
        parts.append(f"the energy ceased to be finite at {run.ledger.first_nonfinite_ps:.4g} ps")
    if heating is not None:
        parts.append(
            f"the temperature rose from {heating.start:.0f} K to {heating.end:.0f} K: the start "
            "had that energy in it (hotter frames, or ones that this model does not hold "
            "together), or the model has a hole"
        )
    parts += _alarms_in_words(run)
    parts.append(_bonds_in_words(run, stability))
    if status == "no break seen":
        parts.append("too short to call it stable")
    if not is_conserved(run):
        parts.append("the thermostat exchanges energy, so drift is not judged")
    elif run.ledger.first_nonfinite_ps is None:
        parts.append(drift_in_words(drift) + _ledger_in_words(drift, later))
    if molecules is not None and molecules.n_above:
        parts.append(
            f"{molecules.n_above} of {len(molecules.spread)} molecules changed their energy by "
            f"more than {molecules.energy_threshold:g} eV"
        )
    return f"{status}: " + "; ".join(parts)


def drift_in_words(drift: EnergyDrift) -> str:
    """Return the drift with its interval and what the interval means."""
    slope = drift.slope
    if not np.isfinite(slope.value):
        return "drift not known"
    text = f"drift {signed(slope.value)}"
    if np.isnan(slope.low):
        return f"{text} meV/atom/ps (too few independent rows for an interval)"
    text += f" [{number(slope.low)}, {number(slope.high)}] meV/atom/ps"
    if not slope.is_resolved:
        return f"{text} (interval too narrow: only {slope.effective_samples:.0f} independent rows)"
    return text if slope.excludes_zero else f"{text} (not told from zero)"


def _ledger_in_words(drift: EnergyDrift, later: EnergyDrift) -> str:
    if not np.isfinite(later.slope.value) or not np.isfinite(drift.over_std_kinetic):
        return ""
    return (
        f", {signed(later.slope.value)} from {number(later.start_ps)} ps on, over the run "
        f"{number(drift.over_std_kinetic)} of the kinetic energy's standard deviation, fluctuation "
        f"{number(drift.fluctuation.value)} meV/atom"
    )


def limits_of(run: Run, drift: EnergyDrift, stability: Stability | None) -> tuple[str, ...]:
    """Return what cannot be concluded from this run, in sentences."""
    limits = []
    if stability is not None:
        limits += _limits_of_watching(run, stability)
    else:
        limits.append(
            f"No bonds were watched, since {_why_unwatched(run)}: nothing is known of reactions or "
            "breaks, and there is no survival curve."
        )
    if not is_conserved(run):
        limits.append(
            "A thermostatted run does not conserve energy: its drift tells of the heat taken from "
            "the bath; only an NVE run of the same model tests conservation."
        )
    elif not drift.slope.is_resolved:
        limits.append(
            f"The total energy has about {drift.slope.effective_samples:.0f} independent rows: a "
            "random walk, as float32 rounding makes it, would look like a drift as often as not."
        )
    return tuple(limits)


def signed(value: float) -> str:
    """Return three significant digits with a sign."""
    return f"{float(f'{value:.3g}'):+g}"


def number(value: float) -> str:
    """Return three significant digits."""
    return f"{float(f'{value:.3g}'):g}"


def bonds_of(counts: dict[str, int]) -> str:
    """Return the kinds of bond that broke first, most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} × {name}" for name, count in ordered)


def is_conserved(run: Run) -> bool:
    """Return whether the run's total energy should stay where it is."""
    return run.config.ensemble == "nve"


def _alarms_in_words(run: Run) -> list[str]:
    if not run.alarms:
        return []
    first = run.alarms[0]
    others = len(run.alarms) - 1
    more = f", {others} more {'alarm' if others == 1 else 'alarms'}" if others else ""
    rewinds = run.summary.get("rewinds") or max(alarm.rewinds for alarm in run.alarms)
    again = f", rewound {rewinds} {'time' if rewinds == 1 else 'times'}" if rewinds else ""
    return [f"the watch's alarm at {first.time_ps:.4g} ps: {first.sentence}{more}{again}"]


def _bonds_in_words(run: Run, stability: Stability | None) -> str:
    if stability is None:
        return f"no bonds watched in {run.duration_ps:.4g} ps, since {_why_unwatched(run)}"
    watched = f"{stability.curve.end_ps:.4g} ps"
    if not stability.n_broken:
        return f"no bond broke in {watched} × {_molecules(stability.n_watched)}"
    median = stability.curve.median_ps
    half = f"{median:.3g} ps" if np.isfinite(median) else f"beyond {watched}"
    return (
        f"{stability.n_broken} of {_molecules(stability.n_watched)} broke a bond "
        f"({bonds_of(stability.bond_counts)}), the first at {stability.first_ps:.3g} ps, "
        f"median stable time {half}"
    )


def _why_unwatched(run: Run) -> str:
    if run.dump is not None and not run.dump.parts:
        return "there is no dump"
    if not len(run.reference.bonds) and run.is_foreign:
        return "no two nonmetals are as close as a bond in the first frame of the dump"
    if not len(run.reference.bonds):
        return "reference.json names none (its system had none, or its file named none)"
    return "the trajectory holds no whole frame after the start (its interval is longer)"


def _limits_of_watching(run: Run, stability: Stability) -> list[str]:
    _, high = stability.rate_ci95
    exposure = float(stability.time_ps.sum())
    limits = [
        f"{exposure:.4g} molecule-ps were watched: were breaks to come at a constant rate, up to "
        f"{high:.2g} per molecule and ps would still fit (95 %), that is one in "
        f"{1.0 / (high * stability.n_watched):.2g} ps of a run of this size; nothing is known of "
        "what begins later.",
        f"Frames are {stability.interval_ps:.3g} ps apart: a break is dated to the first frame "
        "that shows it, and a bond that opened and closed in between is not seen.",
    ]
    if run.molecules is None and stability.n_watched > 1:
        limits.append(
            "Molecules that share a box are not independent: the band of the survival curve is "
            "narrower than it should be."
        )
    return limits


def _molecules(count: int) -> str:
    return f"{count} molecule" if count == 1 else f"{count} molecules"
