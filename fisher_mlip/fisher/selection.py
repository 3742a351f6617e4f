"""Which head, ridge and weight of the scans: by held-out forces, and by holes outside the data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fisher_mlip.config import HeadConfig
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.fisher.nesting import Nested
from fisher_mlip.fisher.normal_equations import NormalEquations
from fisher_mlip.fisher.outside.holes import ScanEnergies, effective_barriers
from fisher_mlip.fisher.outside.rising import RisingSolve
from fisher_mlip.fisher.solve import (
    LabelWeights,
    LinearSystem,
    Spectrum,
    diagonalize,
    fitted_offsets,
    linear_system,
    solve,
)

RIDGES = tuple(10.0**exponent for exponent in range(-9, 0))
SCAN_WEIGHTS = (0.0, 1e-3, 3e-3, 1e-2)
# Scans are weighted only where the data alone come within this factor of their best ridge.
NEAR = 1.1
# What a safer head may give up: of the best one's gain on the base, and of its own error.
GIVEN_UP, WORSE = 1.0 / 3.0, 1.2
# Force components per effective degree of freedom. With fewer, a head fits its frames and others of
# their kind, and is adventurous outside: held-out frames do not see that.
FEWEST_COMPONENTS = 4.0
# Barriers this close (eV, half of kT at 1000 K) and errors this close are alike.
ALIKE_BARRIER, ALIKE_ERROR = 0.05, 1.005


@dataclass(frozen=True, eq=False)
class Row:
    """One theta and what is known of it; errors are root mean squares.

    Attributes:
        head: what theta belongs to.
        ridge: relative to the scaled diagonal of T.
        scan_weight: of missing slopes on the scans, relative to forces.
        theta: (D,).
        offsets: (n_elements,), eV, fitted to the training energies.
        training_force_rmse: eV/Å; the same of held-out frames below, as `judge_weights` count them.
        training_energy_rmse: eV/atom, NaN without energies; the same of held-out frames below.
        effective_degrees_of_freedom: of the ridge, without the scans.
        holes: scans along which the energy comes down, as "kind name".
        barrier: eV, what the way out of the data costs (see `ScanEnergies.effective_barrier`).
    """

    head: HeadConfig
    ridge: float
    scan_weight: float
    theta: FloatArray
    offsets: FloatArray
    training_force_rmse: float
    held_out_force_rmse: float
    training_energy_rmse: float
    held_out_energy_rmse: float
    effective_degrees_of_freedom: float
    holes: list[str]
    barrier: float

    def numbers(self) -> dict[str, object]:
        """Return what goes into summaries; None for what is not known."""
        numbers: dict[str, object] = {
            "head": self.head.name,
            "features": len(self.theta),
            "ridge": self.ridge,
            "scan_weight": self.scan_weight,
            "training_force_rmse_meV_A": 1000.0 * self.training_force_rmse,
            "held_out_force_rmse_meV_A": 1000.0 * self.held_out_force_rmse,
            "training_energy_rmse_meV_atom": 1000.0 * self.training_energy_rmse,
            "held_out_energy_rmse_meV_atom": 1000.0 * self.held_out_energy_rmse,
            "effective_degrees_of_freedom": self.effective_degrees_of_freedom,
            "holes": len(self.holes),
            "barrier_eV": self.barrier,
        }
        return {key: None if _unknown(value) else value for key, value in numbers.items()}


def _unknown(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


class Tried(NamedTuple):
    """How a theta was found; as `Row` has it."""

    ridge: float
    scan_weight: float
    effective_degrees_of_freedom: float


def rows_of(
    head: HeadConfig,
    tried: Sequence[Tried],
    thetas: FloatArray,
    training: NormalEquations,
    held_out: NormalEquations,
    ways: ScanEnergies | None,
    offsets: FloatArray | None = None,
) -> list[Row]:
    """Return thetas (n, D) with their errors and their holes, each matrix being read once.

    Args:
        head: that they belong to.
        tried: n of them.
        thetas: (n, D).
        training: sums of the frames they were solved from.
        held_out: sums of the frames that judge.
        ways: energies on scans, None to look at none.
        offsets: (n, n_elements), fitted where none are given.
    """
    if offsets is None:
        offsets = np.stack([fitted_offsets(training.energies, theta) for theta in thetas])
    whole = np.concatenate([thetas, offsets], axis=1)
    forces, judged_forces = (sums.forces.rms_of(thetas) for sums in (training, held_out))
    energies, judged_energies = (sums.energies.rms_of(whole) for sums in (training, held_out))
    holes: list[list[str]] = [[] for _ in tried]
    heights = np.full(len(tried), np.nan)
    if ways is not None:
        barriers = ways.barriers(thetas)
        holes, heights = [ways.names(each) for each in barriers], effective_barriers(barriers)
    return [
        Row(
            head,
            how.ridge,
            how.scan_weight,
            thetas[k],
            offsets[k],
            float(forces[k]),
            float(judged_forces[k]),
            float(energies[k]),
            float(judged_energies[k]),
            how.effective_degrees_of_freedom,
            holes[k],
            float(heights[k]),
        )
        for k, how in enumerate(tried)
    ]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A head with its whole ridge path, once for each weight of the scans."""

    head: Nested
    system: LinearSystem
    spectrum: Spectrum
    rows: list[Row]


def candidate(
    head: Nested,
    training: NormalEquations,
    held_out: NormalEquations,
    along: ScanEnergies | None,
    *,
    weights: LabelWeights,
    ridges: Sequence[float],
    scan_weights: Sequence[float],
) -> Candidate:
    """Return a head's solutions over ridges and scan weights, from the sums alone.

    Args:
        head: inside the head that the sums are of.
        training: sums of the frames to solve from.
        held_out: sums of the frames that judge.
        along: energies on scans, or None to look at none.
        weights: of energies and virials beside forces.
        ridges: relative to the scaled diagonal.
        scan_weights: of missing slopes; only 0 is tried without scans.
    """
    own, judge = head.equations(training), head.equations(held_out)
    ways = head.along(along) if along is not None and along.scans else None
    system = linear_system(own, weights)
    spectrum = diagonalize(system)

    def rows_for(found: dict[tuple[float, float], FloatArray]) -> list[Row]:
        tried = [
            Tried(ridge, weight, spectrum.effective_degrees_of_freedom(ridge))
            for ridge, weight in found
        ]
        return rows_of(head.config, tried, np.stack([*found.values()]), own, judge, ways)

    rows = rows_for({(ridge, 0.0): solve(system, spectrum, ridge) for ridge in sorted(ridges)})
    heavy = [weight for weight in scan_weights if weight > 0.0]
    if ways is not None and heavy:
        best = min(found.held_out_force_rmse for found in rows)
        near = [r.ridge for r in rows if r.held_out_force_rmse < NEAR * best]
        rising = RisingSolve(system, spectrum, ways)
        solved = {ridge: rising.thetas(ridge, heavy) for ridge in near}
        rows += rows_for({(r, w): solved[r][k] for k, w in enumerate(heavy) for r in near})
    return Candidate(head, system, spectrum, rows)


def choose(rows: Sequence[Row], base: Row, *, n_components: int, allow_holes: bool) -> Row | None:
    """Return the row to ship, or None where the base is to stay.

    Of the rows that beat the base on held-out forces and have neither more holes nor a lower
    barrier before them (unless `allow_holes`), those count that keep two thirds of what the best
    gains on the base and are at most a fifth worse. Of those with the highest barriers the best is
    taken, or one as good with fewer effective degrees of freedom. Where scans are looked at, rows
    with a degree of freedom to less than four force components count only if there are no others.

    Args:
        rows: to choose from.
        base: of the pretrained model.
        n_components: force components that theta was solved from.
        allow_holes: count rows that are less safe than the base, too.
    """
    allowed = [
        row
        for row in rows
        if row.held_out_force_rmse < base.held_out_force_rmse
        and (allow_holes or _is_as_safe(row, base))
    ]
    if not allowed:
        return None
    allowed = [row for row in allowed if not _is_adventurous(row, n_components)] or allowed
    best = _least_error(allowed)
    limit = min(best + GIVEN_UP * (base.held_out_force_rmse - best), WORSE * best)
    near = [row for row in allowed if row.held_out_force_rmse <= limit]
    highest = max(_height(row) for row in near)
    safest = [row for row in near if _height(row) >= highest - ALIKE_BARRIER]
    as_good = ALIKE_ERROR * _least_error(safest)
    return min(
        (row for row in safest if row.held_out_force_rmse <= as_good),
        key=lambda row: row.effective_degrees_of_freedom,
    )


def reasons_against(row: Row, chosen: Row, base: Row, *, n_components: int) -> list[str]:
    """Return why a row with less error than the chosen one was passed over by `choose`."""
    reasons = []
    if _is_adventurous(row, n_components):
        reasons.append(
            f"{row.effective_degrees_of_freedom:.0f} effective degrees of freedom for "
            f"{n_components} force components, more than one to {FEWEST_COMPONENTS:g}"
        )
    alike = (
        chosen.effective_degrees_of_freedom < row.effective_degrees_of_freedom
        and chosen.held_out_force_rmse <= ALIKE_ERROR * row.held_out_force_rmse
        and _height(row) >= _height(chosen) - ALIKE_BARRIER
    )
    if not _is_as_safe(row, base) or not (reasons or alike):
        reasons.append(f"{len(row.holes)} holes, barrier {row.barrier:.2f} eV")
    return reasons or ["one with fewer effective degrees of freedom is as good"]


def _is_adventurous(row: Row, n_components: int) -> bool:
    """Return whether scans are looked at and the data bear fewer degrees of freedom."""
    most = n_components / FEWEST_COMPONENTS
    return not math.isnan(row.barrier) and row.effective_degrees_of_freedom > most


def _least_error(rows: Sequence[Row]) -> float:
    return min(row.held_out_force_rmse for row in rows)


def _height(row: Row) -> float:
    return 0.0 if math.isnan(row.barrier) else row.barrier


def _is_as_safe(row: Row, base: Row) -> bool:
    return len(row.holes) <= len(base.holes) and not row.barrier < base.barrier
