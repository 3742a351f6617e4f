"""Ledger and molecule energies -> drift, in meV/atom/ps, and its size against the motion."""

from dataclasses import dataclass

import numpy as np

from fisher_mlip.analysis.run import Ledger, MoleculeEnergies, Reference
from fisher_mlip.data.frames import BoolArray, FloatArray
from fisher_mlip.slopes import Fluctuation, Slope, fit_fluctuation, fit_slope

MEV_PER_EV = 1000.0


@dataclass(frozen=True)
class EnergyDrift:
    """Drift of the total energy of the whole system.

    Attributes:
        slope: meV/atom/ps.
        start_ps, end_ps: the rows used.
        n_rows: of them.
        kinetic_std: standard deviation of the kinetic energy, meV/atom.
        over_std_kinetic: |slope| times duration, divided by `kinetic_std`.
        fluctuation: standard deviation about the line, meV/atom.
    """

    slope: Slope
    start_ps: float
    end_ps: float
    n_rows: int
    kinetic_std: float
    over_std_kinetic: float
    fluctuation: Fluctuation

    @property
    def over_std_kinetic_ci95(self) -> tuple[float, float]:
        """95 % interval of `over_std_kinetic`, from that of the slope."""
        if not self.kinetic_std > 0.0:
            return np.nan, np.nan
        scale = (self.end_ps - self.start_ps) / self.kinetic_std
        edges = abs(self.slope.low) * scale, abs(self.slope.high) * scale
        return (min(edges) if self.slope.excludes_zero else 0.0), max(edges)


@dataclass(frozen=True, eq=False)
class MoleculeDrift:
    """Drift of each independent molecule's total energy.

    Attributes:
        slope: (n_molecules,), meV/atom/ps; NaN where the energy ceased to be finite.
        spread: (n_molecules,), eV: largest minus smallest E(t) - E(0); infinite likewise.
        fluctuation: (n_molecules,), meV/atom, standard deviation about the line; NaN likewise.
        energy_threshold: eV.
    """

    slope: FloatArray
    spread: FloatArray
    fluctuation: FloatArray
    energy_threshold: float

    @property
    def slope_quantiles(self) -> tuple[float, float, float]:
        """5 %, 50 % and 95 % of the finite slopes, meV/atom/ps."""
        return quantiles(self.slope[np.isfinite(self.slope)])

    @property
    def spread_quantiles(self) -> tuple[float, float, float]:
        """5 %, 50 % and 95 % of the spreads, eV."""
        low, middle, high = quantiles_of_rows(self.spread[None], (0.05, 0.5, 0.95))
        return float(low[0]), float(middle[0]), float(high[0])

    @property
    def n_above(self) -> int:
        return int((self.spread > self.energy_threshold).sum())

    @property
    def fraction_above(self) -> float:
        return self.n_above / len(self.spread)


def quantiles(values: FloatArray) -> tuple[float, float, float]:
    """Return the 5 %, 50 % and 95 % quantiles; NaN where there are no values."""
    if not len(values):
        return np.nan, np.nan, np.nan
    low, middle, high = (float(q) for q in np.quantile(values, (0.05, 0.5, 0.95)))
    return low, middle, high


def quantiles_of_rows(values: FloatArray, fractions: tuple[float, ...]) -> FloatArray:
    """Return quantiles by linear interpolation; unlike numpy's, of rows with infinities too.

    Args:
        values: (n_rows, n), may hold infinities.
        fractions: 0 to 1.

    Returns:
        (n_fractions, n_rows); NaN between minus and plus infinity.
    """
    ordered = np.sort(values, axis=1)
    places = np.array(fractions) * (values.shape[1] - 1)
    lower = ordered[:, np.floor(places).astype(int)]
    upper = ordered[:, np.ceil(places).astype(int)]
    # Equal infinities have no gap; at an exact place both are the same.
    gap = np.subtract(upper, lower, out=np.zeros_like(lower), where=upper != lower)
    with np.errstate(invalid="ignore"):
        return np.asarray((lower + (places % 1.0) * gap).T)


def energy_drift(
    ledger: Ledger,
    n_atoms: int,
    *,
    discard_fraction: float,
    seed: int,
    after_ps: float | None = None,
) -> EnergyDrift:
    """Fit the drift of the total energy.

    Args:
        ledger: finite rows.
        n_atoms: atoms of the system.
        discard_fraction: part of the time span left out at the start.
        seed: of the bootstrap.
        after_ps: rows up to this time are left out; None for none.
    """
    own = _later(ledger.time_ps, after_ps)
    time = ledger.time_ps[own]
    if not len(time):
        nothing = fit_slope(time, time, seed=seed)
        unknown = Fluctuation(np.nan, np.nan, np.nan)
        return EnergyDrift(nothing, np.nan, np.nan, 0, np.nan, np.nan, unknown)
    kept = own & (ledger.time_ps >= time[0] + discard_fraction * (time[-1] - time[0]))
    time = ledger.time_ps[kept]
    scale = MEV_PER_EV / n_atoms
    # The start is taken off before scaling: differences of large totals keep their digits.
    total = (ledger.total[kept] - ledger.total[kept][0]) * scale
    slope = fit_slope(time, total, seed=seed)
    kinetic_std = float(ledger.kinetic[kept].std() * scale)
    moved = abs(slope.value) * float(time[-1] - time[0])
    ratio = moved / kinetic_std if kinetic_std > 0.0 else np.nan
    fluctuation = fit_fluctuation(time, total, seed=seed)
    ends = float(time[0]), float(time[-1])
    return EnergyDrift(slope, *ends, len(time), kinetic_std, ratio, fluctuation)


def molecule_drift(
    molecules: MoleculeEnergies,
    reference: Reference,
    *,
    energy_threshold: float,
    after_ps: float | None = None,
) -> MoleculeDrift | None:
    """Fit each molecule's slope and measure how far its energy went.

    Args:
        molecules: (n_rows, n_molecules) energies.
        reference: to count each molecule's atoms.
        energy_threshold: eV, of the spread.
        after_ps: rows up to this time are left out; None for none.

    Returns:
        None where fewer than three rows are left.
    """
    own = _later(molecules.time_ps, after_ps)
    time, energy = molecules.time_ps[own], molecules.energy[own]
    if len(time) < 3:
        return None
    atoms = np.bincount(reference.molecule_index, minlength=reference.n_molecules)
    change = energy - energy[0]
    finite = np.isfinite(change).all(axis=0)
    slope, fluctuation = np.full((2, reference.n_molecules), np.nan)
    slope[finite], fluctuation[finite] = trends(time, change[:, finite])
    spread = np.full(reference.n_molecules, np.inf)
    spread[finite] = np.ptp(change[:, finite], axis=0)
    scale = MEV_PER_EV / atoms
    return MoleculeDrift(slope * scale, spread, fluctuation * scale, energy_threshold)


def trends(time: FloatArray, series: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the slopes of columns and their standard deviations about the line, (n,) each.

    Args:
        time: (n_rows,), at least three.
        series: (n_rows, n), finite.
    """
    weights = time - time.mean()
    centred = series - series.mean(axis=0)
    slopes = weights @ centred / (weights @ weights)
    residuals = centred - weights[:, None] * slopes
    squares = (residuals**2).sum(axis=0)
    return slopes, np.sqrt(squares / (len(time) - 2))


def _later(time_ps: FloatArray, after_ps: float | None) -> BoolArray:
    """Return which rows are later than a time, (n_rows,), by more than its rounding."""
    if after_ps is None:
        return np.ones(len(time_ps), dtype=bool)
    return np.asarray(time_ps > after_ps * (1.0 + 1e-9))
