"""The runs of a model -> how far its observables are from those of a reference run."""

from collections.abc import Sequence
from dataclasses import dataclass

from fisher_mlip.analysis.observables import (
    Distance,
    Geometry,
    GeometryDistance,
    RadialFunctions,
    geometry_distance,
    geometry_of,
    radial_distance,
    radial_of,
)
from fisher_mlip.analysis.run import Run
from fisher_mlip.errors import InputError


@dataclass(frozen=True, eq=False)
class Observed:
    """What was measured of a potential that is trusted.

    Attributes:
        run: its run.
        geometry: of its molecules.
        radial: g(r) between them; None where the box is not periodic.
    """

    run: Run
    geometry: Geometry
    radial: RadialFunctions | None


@dataclass(frozen=True)
class ObservableDistances:
    """How far a model's observables are from the reference.

    Attributes:
        geometry: h(r), bonds and angles.
        radial: by pair of elements, Å; empty where the boxes are not periodic.
    """

    geometry: GeometryDistance
    radial: dict[str, Distance]


def observe(runs: Sequence[Run]) -> Observed:
    """Measure the observables of replicas of one run."""
    first, *more = runs
    radial = radial_of(first, *more) if first.reference.provenance.get("periodic") else None
    return Observed(first, geometry_of(first, *more), radial)


def observable_distances(
    runs: Sequence[Run], reference: Observed, *, seed: int
) -> ObservableDistances:
    """Compare the runs of a model with the reference.

    Args:
        runs: of the model.
        reference: of `observe`.
        seed: of the bootstrap.

    Raises:
        InputError: other molecules.
    """
    if _molecule(runs[0]) != _molecule(reference.run):
        raise InputError(
            f"expected a reference of the same molecules as '{runs[0].path}', found "
            f"'{reference.run.path}'"
        )
    found = observe(runs)
    radial = {}
    if found.radial is not None and reference.radial is not None:
        radial = radial_distance(found.radial, reference.radial, seed=seed)
    return ObservableDistances(
        geometry_distance(found.geometry, reference.geometry, seed=seed), radial
    )


def _molecule(run: Run) -> list[str]:
    """Return the elements of the first molecule."""
    pairs = zip(run.reference.symbols, run.reference.molecule_index, strict=True)
    return [symbol for symbol, molecule in pairs if molecule == 0]
