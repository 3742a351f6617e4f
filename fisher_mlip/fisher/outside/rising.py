"""theta whose energies rise along scans, from the normal equations and the slopes that are missing.

A slope that is missing is one more squared error. Which intervals of the scans those are depends on
theta, so that a ridge and a weight take a few solves; what these have in common is computed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fisher_mlip.data.frames import BoolArray, FloatArray, IntArray
from fisher_mlip.fisher.outside.holes import ScanEnergies, effective_barriers
from fisher_mlip.fisher.outside.intervals import DualSums, PrimalSums, Projections
from fisher_mlip.fisher.solve import LinearSystem, Spectrum

ROUNDS = 6
# eV/Å.
FLAT = 0.3


class RisingSolve:
    """Solutions whose energies rise along scans wherever they are reached.

    Where the energy rises by less than a scan asks for, the missing slope joins the squared
    errors; which intervals those are is found in a few rounds (an active set). As what is reached
    depends on the energies before it, rounds may turn back and forth: then the one with the
    highest barriers counts. Each round is a solve in as many unknowns as there are features, or
    such intervals if they are fewer (Woodbury's identity).
    """

    def __init__(self, system: LinearSystem, spectrum: Spectrum, along: ScanEnergies) -> None:
        kept = slice(len(spectrum.values) - spectrum.rank, None)
        self.along = along
        self.slopes = Slopes.of(along)
        self.values = spectrum.values[kept]
        self.vectors = spectrum.vectors[:, kept] / spectrum.scale[:, None]
        self.moment = self.vectors.T @ system.moment
        self.projected = Projections(self.slopes.rows, self.vectors, len(self.slopes.missing))
        self.primal = PrimalSums(self.projected)

    def theta(self, ridge: float, weight: float) -> FloatArray:
        """Return theta (D,), as `thetas` of one weight."""
        return np.asarray(self.thetas(ridge, [weight])[0])

    def thetas(self, ridge: float, weights: Sequence[float]) -> FloatArray:
        """Return thetas (n_weights, D).

        Args:
            ridge: as in `solve`.
            weights: of the mean squared missing slope, relative to that asked for, in (eV/Å)^2;
                the mean squared force error counts 1.
        """
        dual = DualSums(self.projected, self.values + ridge, self.moment)
        plain = self.vectors @ (self.moment / (self.values + ridge))
        found = np.tile(plain, (len(weights), 1))
        energies = self.along.totals(found)
        before = np.zeros((len(weights), len(self.slopes.missing)), dtype=bool)
        safest, highest = found.copy(), np.full(len(weights), -np.inf)
        going = np.arange(len(weights))
        for _ in range(ROUNDS):
            chosen = self.slopes.wanting(energies)
            turned = (chosen != before[going]).any(axis=1)
            # A set that stays is solved for: its theta counts, whatever came before.
            safest[going[~turned]] = found[~turned]
            going, chosen = going[turned], chosen[turned]
            if len(going) == 0:
                break
            before[going] = chosen
            amplitudes = [
                self._amplitudes(dual, which, ridge, weights[k])
                for k, which in zip(going, chosen, strict=True)
            ]
            found = np.stack(amplitudes) @ self.vectors.T
            energies = self.along.totals(found)
            barriers = effective_barriers(self.along.courses.barriers(energies))
            higher = barriers >= highest[going]
            safest[going[higher]], highest[going[higher]] = found[higher], barriers[higher]
        return safest

    def _amplitudes(
        self, dual: DualSums, chosen: BoolArray, ridge: float, weight: float
    ) -> FloatArray:
        """Solve with the missing slopes of the chosen intervals among the squared errors."""
        strength = weight / len(chosen)
        intervals = np.flatnonzero(chosen)
        missing = self.slopes.missing[intervals]
        # The normal equations gain strength (a a', -a r) of every chosen interval.
        if len(intervals) < len(self.values):
            return dual.solve(intervals, missing, strength)
        return self.primal.solve(intervals, missing, strength, self.values + ridge, self.moment)


@dataclass(frozen=True, eq=False)
class Slopes:
    """How much slope the base lacks in each interval, and what theta does about it.

    Attributes:
        along: whose intervals they are.
        unit: (n_intervals,), eV, the slope asked for (no less than FLAT) times the interval, so
            that a stiff bond counts no more than a soft angle.
        rise: (n_intervals,), eV, asked for.
        missing: (n_intervals,), the slope asked for less that of the base, in units of it.
    """

    along: ScanEnergies
    unit: FloatArray
    rise: FloatArray
    missing: FloatArray

    @staticmethod
    def of(along: ScanEnergies) -> "Slopes":
        rise = np.concatenate([scan.rise for scan in along.scans])
        unit = np.maximum(rise, FLAT * np.concatenate([np.diff(s.path) for s in along.scans]))
        missing = (rise - along.courses.climbs(along.base)) / unit
        return Slopes(along, unit, rise, missing)

    def rows(self, intervals: IntArray) -> FloatArray:
        """Return (n, D), -d(features)/d(path) in some intervals, in the unit of `missing`."""
        start = self.along.courses.starts[intervals]
        features = self.along.features
        return np.asarray((features[start] - features[start + 1]) / self.unit[intervals, None])

    def wanting(self, energies: FloatArray) -> BoolArray:
        """Return (..., n_intervals), those that are reached and rise by less than is asked.

        Args:
            energies: (..., n_points), eV.
        """
        courses = self.along.courses
        climbs = courses.climbs(energies)
        return courses.reached(energies) & (climbs < self.rise) & np.isfinite(climbs)
