"""A run -> the field's criteria of instability beside bonds: when each was first not met."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from fisher_mlip.analysis.config import AnalysisConfig
from fisher_mlip.analysis.run import Run
from fisher_mlip.analysis.survival import KaplanMeier, kaplan_meier
from fisher_mlip.analysis.topology import openmm_topology
from fisher_mlip.analysis.trajectory import ANGSTROM_PER_NM, iterate_chunks
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from openmm_plugin.thermometer import Temperatures
from openmm_plugin.watch import (
    Criterion,
    EnergyChange,
    Equipartition,
    Look,
    RadialError,
    RadialReference,
    TemperatureRise,
)
from openmm_plugin.watch.pairs import near_pairs

_NOTHING = np.zeros((0, 3))
_DISTANCE = "intermolecular distance"
MOST_FRAMES = 5000
# Å: distances above are reported as this.
_REACH = 1.6


@dataclass(frozen=True, eq=False)
class CriterionResult:
    """What one criterion found in a run.

    Attributes:
        name: as the watch names it.
        threshold: the bound, in its unit.
        unit: "" for a pure number.
        worst: the number furthest on the wrong side; NaN where none was measured.
        first_ps: when it was first beyond the bound; infinite for never.
        where: it was then, in words; "" for everywhere.
        curve: Kaplan-Meier over molecules, of what is told by molecule; None else.
    """

    name: str
    threshold: float
    unit: str
    worst: float
    first_ps: float
    where: str = ""
    curve: KaplanMeier | None = field(default=None)


def criteria_of(run: Run, config: AnalysisConfig) -> tuple[CriterionResult, ...]:
    """Apply the criteria that a run has numbers for.

    Temperature, equipartition by element and, in NVE, the change of the total energy come from the
    ledger; the distance between molecules and g(r), with a reference, from the trajectory.

    Args:
        run: of either engine.
        config: bounds and the reference of g(r).

    Raises:
        InputError: a reference of g(r) that does not fit, or a run without a box to compare.

    Source: Fu et al., Forces are not Enough, TMLR 2023 (bonds, g(r)); Raja et al., StABlE, 2024
        (distance between molecules).
    """
    reference = run.reference
    found = _first_failures(_of_ledger(run), _rows(run))
    if run.molecules is None and 1 < reference.n_molecules < reference.n_atoms:
        found += _closest_molecules(run, config.intermolecular_distance)
    if config.rdf_reference is not None:
        radial = RadialError(
            openmm_topology(reference),
            RadialReference.read(config.rdf_reference),
            config.rdf_error,
            interval=1,
        )
        found += _first_failures([radial], _frames(run))
    return tuple(found)


def _of_ledger(run: Run) -> list[Criterion]:
    criteria: list[Criterion] = []
    if run.config.temperature > 0.0 and not run.is_foreign:
        criteria.append(TemperatureRise(run.config.temperature))
    if run.ledger.element_temperatures:
        criteria.append(Equipartition())
    if run.config.ensemble == "nve" and run.reference.n_atoms:
        criteria.append(EnergyChange())
    return criteria


def _first_failures(criteria: Sequence[Criterion], looks: Iterable[Look]) -> list[CriterionResult]:
    """Measure criteria, for which more is worse, in one pass; those without a number are left."""
    worst, first = [math.nan] * len(criteria), [math.inf] * len(criteria)
    where = [""] * len(criteria)
    for look in looks:
        for place, criterion in enumerate(criteria):
            value = criterion.measure(look)
            if not value <= worst[place] and not math.isnan(value):
                worst[place] = value
            if math.isinf(first[place]) and criterion.is_beyond(value):
                first[place], where[place] = look.time_ps, criterion.where()
    found = zip(criteria, worst, first, where, strict=True)
    return [
        CriterionResult(one.name, one.threshold, one.unit, value, time, place)
        for one, value, time, place in found
        if not math.isnan(value)
    ]


def _rows(run: Run) -> Iterator[Look]:
    """Yield the rows of the ledger as the watch looks at them, with degrees of freedom of all."""
    ledger, symbols = run.ledger, list(run.reference.symbols)
    freedom = {name: 3.0 * symbols.count(name) for name in ledger.element_temperatures}
    # A look counts its atoms by its positions.
    atoms = np.zeros((len(symbols), 3))
    for row, time in enumerate(ledger.time_ps):
        by_element = {n: float(series[row]) for n, series in ledger.element_temperatures.items()}
        temperatures = Temperatures(
            float(ledger.temperature[row]), 3.0 * len(symbols), by_element, freedom
        )
        total = float(ledger.total[row])
        yield Look(row, float(time), atoms, atoms, None, temperatures, None, total)


def _frames(run: Run) -> Iterator[Look]:
    """Yield the frames of the trajectory as the watch looks at them, without velocities."""
    unknown = Temperatures(np.nan, np.nan, {}, {})
    number = 0
    for times, chunk in iterate_chunks(run):
        cells = chunk.unitcell_vectors
        if cells is None:
            raise InputError(f"expected a periodic box for g(r), found none in '{run.path}'")
        for time, positions, cell in zip(times, chunk.xyz, cells, strict=True):
            if not np.isfinite(positions).all():
                return
            number += 1
            yield Look(
                number, float(time), _angstrom(positions), _NOTHING, _angstrom(cell), unknown
            )


def _closest_molecules(run: Run, threshold: float) -> list[CriterionResult]:
    index = run.reference.molecule_index
    first = np.full(run.reference.n_molecules, np.inf)
    worst, last, reach = np.nan, np.nan, max(_REACH, threshold)
    stride, n_frames = _stride(run), 0
    for times, chunk in iterate_chunks(run):
        cells = chunk.unitcell_vectors
        looked_at = range(-n_frames % stride, len(times), stride)
        n_frames += len(times)
        for frame, time in zip(looked_at, times[looked_at.start :: stride], strict=True):
            positions = _angstrom(chunk.xyz[frame])
            if not np.isfinite(positions).all():
                break
            cell = None if cells is None else _angstrom(cells[frame])
            pairs, distances = near_pairs(positions, cell, reach, index)
            worst = float(np.fmin(worst, distances.min(initial=reach)))
            near = np.unique(index[pairs[distances < threshold]])
            first[near] = np.minimum(first[near], time)
            last = float(time)
    if np.isnan(worst):
        return []
    is_event = np.isfinite(first)
    curve = kaplan_meier(np.where(is_event, first, last), is_event)
    where = f"{int(is_event.sum())} of {len(first)} molecules" if is_event.any() else ""
    when = float(first.min())
    return [CriterionResult(_DISTANCE, threshold, "Å", worst, when, where, curve)]


def _stride(run: Run) -> int:
    """Return how many frames apart looks for contacts are: they cost 7 ms each in large boxes."""
    expected = run.duration_ps / max(run.frame_interval_ps, 1e-12)
    return max(1, int(expected) // MOST_FRAMES)


def _angstrom(nanometers: FloatArray) -> FloatArray:
    return np.asarray(nanometers, dtype=np.float64) * ANGSTROM_PER_NM
