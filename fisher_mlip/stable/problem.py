"""What a training is about: the head, the reference, the observables, where replicas start."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fisher_mlip.data import Frames, read_frames
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.model.graph import species_of
from fisher_mlip.stable.averages import Averages, averages
from fisher_mlip.stable.config import OBSERVABLES, ObservableName, StableConfig
from fisher_mlip.stable.configurations import Configurations
from fisher_mlip.stable.observables import BondMoment, DistanceDistribution, Observable, whole
from fisher_mlip.stable.prior import FisherPrior, load_prior
from fisher_mlip.stable.radial import RadialDistribution
from fisher_mlip.stable.reference import read_configurations, read_reference
from fisher_mlip.stable.replicas import molecular_systems
from fisher_mlip.stable.stability import Criteria
from fisher_mlip.stable.step import Limits
from fisher_mlip.train.metrics import errors


@dataclass(frozen=True, eq=False)
class Problem:
    """All that iterations share.

    Attributes:
        config: of the training.
        prior: the finetuned head.
        reference: configurations to compare with.
        starts: configurations that replicas start from.
        observables: that are trained on.
        target: their averages over the reference.
        criteria: of stability.
        held_out: labelled frames; None for none.
    """

    config: StableConfig
    prior: FisherPrior
    reference: Configurations
    starts: Configurations
    observables: list[Observable]
    target: Averages
    criteria: Criteria
    held_out: Frames | None

    @property
    def elements(self) -> list[int]:
        return self.prior.checkpoint.config.elements

    @property
    def blocks(self) -> list[int]:
        """Size of each observable."""
        return [observable.size for observable in self.observables]

    @property
    def units(self) -> dict[str, str]:
        return {observable.name: observable.unit for observable in self.observables}

    @property
    def limits(self) -> Limits:
        config = self.config
        return Limits(config.strength, config.effective_fraction, config.force_tolerance)

    @property
    def bound(self) -> float:
        """Largest held-out force error, eV/Å."""
        at_start = self.prior.held_out_rmse(np.zeros(self.prior.factor.shape[1]))
        return (1.0 + self.config.force_tolerance) * at_start

    @property
    def neighborhood(self) -> float | None:
        """Å, of the localized estimator; None for the global one."""
        has_several = self.reference.cells is not None and self.reference.n_molecules > 1
        kind = self.config.estimator
        is_localized = kind == "localized" or (kind == "auto" and has_several)
        return self.config.neighborhood if is_localized else None

    def values(self, of: Configurations) -> FloatArray:
        """Return the observables of configurations, (n, n_g), one after the other."""
        return np.concatenate([whole(o, of.positions, of.cells) for o in self.observables], axis=1)

    def values_by_molecule(self, of: Configurations) -> FloatArray:
        """Return their parts, (n, n_molecules, n_g)."""
        parts = [o.by_molecule(of.positions, of.cells) for o in self.observables]
        return np.concatenate(parts, axis=2)

    def errors(self, mean: FloatArray) -> dict[str, float]:
        """Return the mean absolute deviation from the reference of each observable."""
        off = np.split(np.abs(mean - self.target.mean), np.cumsum(self.blocks)[:-1])
        return {o.name: float(part.mean()) for o, part in zip(self.observables, off, strict=True)}

    def held_out_mae(self, z: FloatArray) -> float:
        """Return the mean absolute force error of the given held-out frames, eV/Å; NaN without."""
        if self.held_out is None:
            return float("nan")
        checkpoint = self.prior.at(z)
        return errors(checkpoint.network, self.held_out, checkpoint.config).force_mae


def make_problem(config: StableConfig) -> Problem:
    """Read what a configuration names.

    Raises:
        InputError: something of it cannot be used.
    """
    prior = load_prior(Path(config.finetuned))
    elements = prior.checkpoint.config.elements
    reference = read_reference(Path(config.reference), elements, config.temperature)
    held_out = read_held_out(config.held_out, elements) if config.held_out else None
    observables = make_observables(reference, config.observables)
    values = [whole(o, reference.positions, reference.cells) for o in observables]
    target = averages(np.concatenate(values, axis=1), reference.series)
    starts = read_starts(reference, config)
    masses = molecular_systems(starts.chosen(np.zeros(1, dtype=np.int64)))[0].masses
    criteria = Criteria(
        reference,
        masses,
        config.temperature,
        bond_deviation=config.bond_deviation,
        intermolecular_distance=config.intermolecular_distance,
        temperature_ratio=config.temperature_ratio,
    )
    return Problem(config, prior, reference, starts, observables, target, criteria, held_out)


def read_held_out(path: str, elements: list[int]) -> Frames:
    """Read frames with forces of elements that the model knows.

    Raises:
        InputError: they are others.
    """
    frames = read_frames(path)
    for frame in frames:
        species_of(frame.atomic_numbers, elements)
    if all(frame.forces is None for frame in frames):
        raise InputError(f"expected forces in the held-out frames '{path}', found none")
    return frames


def make_observables(reference: Configurations, names: list[ObservableName]) -> list[Observable]:
    """Return the observables of those names, all that the system has where none are named.

    Raises:
        InputError: one that the system does not have.
    """
    has_several = reference.n_molecules > 1
    there: dict[ObservableName, bool] = {
        "distances": bool((np.bincount(reference.molecules) > 1).any()),
        "bonds": len(reference.bonds) > 0,
        "rdf": reference.cells is not None and has_several,
    }
    for name in names:
        if not there[name]:
            raise InputError(
                f"expected observables of this system ({', '.join(n for n in there if there[n])}), "
                f"found '{name}'"
            )
    chosen = names or [name for name in OBSERVABLES if there[name]]
    found: list[Observable] = []
    if "distances" in chosen:
        found.append(DistanceDistribution(reference))
    if "bonds" in chosen:
        found += [BondMoment(reference, 1), BondMoment(reference, 2)]
    if "rdf" in chosen:
        found.append(RadialDistribution(reference))
    if not found:
        raise InputError("expected molecules with bonds, or a box of several, found neither")
    return found


def read_starts(reference: Configurations, config: StableConfig) -> Configurations:
    """Return what replicas start from: the start frames, or the reference.

    Raises:
        InputError: start frames of another system.
    """
    source = reference
    if config.start_frames:
        source = read_configurations(Path(config.start_frames))
        same = np.array_equal(source.atomic_numbers, reference.atomic_numbers)
        if not same or (source.cells is None) != (reference.cells is None):
            raise InputError(
                f"expected the reference's atoms, in its order, in the start frames "
                f"'{config.start_frames}', found others"
            )
    return source


def drawn_starts(starts: Configurations, config: StableConfig, iteration: int) -> Configurations:
    """Return a configuration for each replica, others in each iteration."""
    order = np.random.default_rng([config.seed, 3, iteration]).permutation(len(starts))
    chosen = starts.chosen(order[np.arange(config.replicas) % len(order)])
    positions = chosen.positions
    if chosen.cells is None:
        positions = positions - positions.mean(axis=1, keepdims=True)
    series = np.arange(config.replicas)
    return Configurations(starts.atomic_numbers, starts.bonds, positions, chosen.cells, series)
