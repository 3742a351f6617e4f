"""Short NVE runs in OpenMM: drift, the order of the energy error, the noise of float32."""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.certificate.engine import Engine, atomic_masses
from fisher_mlip.certificate.rows import Row, judged, reported
from fisher_mlip.certificate.tolerances import (
    DRIFT_OVER_FLUCTUATION,
    NOISE_AFTER_PS,
    ORDER_RATIO,
)
from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.slopes import fit_slope
from fisher_mlip.units import BOLTZMANN_EV_PER_K, EV_PER_AMU_ANGSTROM2_PER_FS2

TIMESTEP = 0.5  # fs
TEMPERATURE = 300.0  # K, of the velocities that the run begins with
MEV_PER_EV = 1000.0
FS_PER_PS = 1000.0
# eV/Å: the forces of a start that dynamics can begin from; hot liquids have a few.
SANE_FORCE = 15.0


@dataclass(frozen=True, eq=False)
class Runs:
    """Total energies of runs from one start, eV, at the steps of the coarsest.

    Attributes:
        n_atoms: of the frame.
        double, single: float64 and float32 network, `TIMESTEP`.
        half: float64, half the timestep.
    """

    n_atoms: int
    double: FloatArray
    half: FloatArray
    single: FloatArray

    @property
    def time_ps(self) -> FloatArray:
        return np.asarray(np.arange(len(self.double)) * (TIMESTEP / FS_PER_PS))


def micro_runs(double: Engine, single: Engine, frame: Frame, steps: int, seed: int) -> Runs:
    """Run one start three times, for `steps` steps of `TIMESTEP`."""
    velocities = thermal_velocities(frame, seed)
    return Runs(
        frame.n_atoms,
        double=double.trajectory(frame, velocities, TIMESTEP, steps),
        half=double.trajectory(frame, velocities, TIMESTEP / 2.0, 2 * steps, every=2),
        single=single.trajectory(frame, velocities, TIMESTEP, steps),
    )


def is_sane(forces: FloatArray) -> bool:
    """Whether dynamics at `TIMESTEP` can start from such forces (n_atoms, 3), eV/Å."""
    return bool(np.abs(forces).max() < SANE_FORCE)


def run_rows(runs: Runs, on: str, seed: int) -> list[Row]:
    """Return drift with its error bar, the order of the error, and the noise of float32."""
    rows = [
        drift_row(runs, runs.double, "float64", on, seed),
        drift_row(runs, runs.single, "float32", on, seed),
        order_row(runs, on),
        noise_row(runs, on),
    ]
    return rows


def drift_row(runs: Runs, energies: FloatArray, dtype: str, on: str, seed: int) -> Row:
    """Judge the slope of the total energy where it is significant, else report it.

    Source: moving-block bootstrap, Künsch 1989, as `fisher_mlip.slopes`.
    """
    time = runs.time_ps
    # Differences to the start first: large totals have no digits to spare.
    change = (energies - energies[0]) * MEV_PER_EV / runs.n_atoms
    name, measured = f"drift: {dtype}", "slope of the total energy, as large as the interval goes"
    if not np.isfinite(change).all():
        return judged(name, on, measured, np.nan, "meV/atom/ps", 0.0, "the run blew up")
    slope = fit_slope(time, change, seed=seed)
    span = float(time[-1] - time[0])
    fluctuation = slope.residual_std
    # What a line through a bounded fluctuation may show by chance.
    chance = DRIFT_OVER_FLUCTUATION * fluctuation / span
    note = (
        f"95 % interval {slope.low:.2g} to {slope.high:.2g}, fluctuation {fluctuation:.2g} "
        f"meV/atom, {span * FS_PER_PS:.0f} fs of {TIMESTEP} fs steps"
    )
    figure = min(abs(slope.low), abs(slope.high)) if slope.excludes_zero else 0.0
    what = "the least drift that its 95 % interval allows"
    note = f"slope {slope.value:.2g}, {note}"
    return judged(name, on, what, figure, "meV/atom/ps", chance, note)


def order_row(runs: Runs, on: str) -> Row:
    """Judge by what the energy error falls when the step is halved: 4 for a smooth potential."""
    coarse, fine = (float(np.std(series - series[0])) for series in (runs.double, runs.half))
    ratio = coarse / fine if fine > 0.0 else np.nan
    middle = 0.5 * sum(ORDER_RATIO)
    note = (
        f"ratio {ratio:.2f}: fluctuation {coarse * MEV_PER_EV / runs.n_atoms:.2g} meV/atom at "
        f"{TIMESTEP} fs, {fine * MEV_PER_EV / runs.n_atoms:.2g} at {TIMESTEP / 2.0} fs"
    )
    return judged(
        "order of the energy error",
        on,
        "distance from 4 of the error's ratio at a step and half of it",
        abs(ratio - middle),
        "ratio",
        ORDER_RATIO[1] - middle,
        note,
    )


def noise_row(runs: Runs, on: str) -> Row:
    """Judge the random walk that float32 adds to the energy, from float64 beside it.

    Source: mean square displacement of the difference, MSD(L) = 2 s^2 + L w^2: s the rounding of
        each row, w the walk's step.
    """
    difference = (runs.single - runs.double) * MEV_PER_EV / runs.n_atoms
    longest = len(difference) // 2
    short, long = (_displacement(difference, lag) for lag in (1, longest))
    walk = max(0.0, (long - short) / (longest - 1)) if np.isfinite(long) else np.nan
    after_ps = float(np.sqrt(walk * FS_PER_PS / TIMESTEP))
    return judged(
        "noise: float32",
        on,
        "random walk of the total energy against float64, after 1 ps",
        after_ps,
        "meV/atom",
        NOISE_AFTER_PS,
        f"rounding of a single energy {np.sqrt(short / 2.0):.1e} meV/atom",
    )


def thermal_velocities(frame: Frame, seed: int) -> FloatArray:
    """Return Maxwell-Boltzmann velocities (n_atoms, 3), Å/fs, without total momentum."""
    masses = atomic_masses(frame.atomic_numbers)
    width = np.sqrt(BOLTZMANN_EV_PER_K * TEMPERATURE / masses / EV_PER_AMU_ANGSTROM2_PER_FS2)
    velocities = np.random.default_rng(seed).normal(size=(frame.n_atoms, 3)) * width[:, None]
    drift = masses @ velocities / masses.sum()
    return np.asarray(velocities - drift)


def not_run(on: str, why: str) -> Row:
    """Return the row that says why there were no runs."""
    return reported("micro-runs", on, "not made", np.nan, "", why)


def _displacement(series: FloatArray, lag: int) -> float:
    return float(np.square(series[lag:] - series[:-lag]).mean())
