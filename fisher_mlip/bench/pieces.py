"""List, model and engine, each alone; and the model otherwise."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from openmm.app import Simulation

from fisher_mlip.bench.machine import available_cores
from fisher_mlip.bench.timing import NOTHING, Timing, alternated, repeated, timed, timing_of
from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import FloatArray, IntArray
from fisher_mlip.export import Artefact, ArtefactPotential
from fisher_mlip.export.kernel import KernelName
from fisher_mlip.export.recast import recast
from fisher_mlip.export.torchscript import unoptimized
from fisher_mlip.simulate.driving import Run
from fisher_mlip.simulate.engine import context_forces, draw_velocities, simulation_parts
from fisher_mlip.simulate.systems import MolecularSystem
from fisher_mlip.units import NM_PER_ANGSTROM
from openmm_plugin import topology_atomic_numbers

# Larger ones are not bound by what a call costs anyway.
SMALL_ATOMS = 500
ENGINE_CHUNK = 10
PAIRS_OF_CALLS = 6
WIDE = 2.0


@dataclass(frozen=True)
class Calls:
    """Energy and forces, the list kept, measured by turns; ms a call.

    Attributes:
        model: by the route that runs.
        direct: without an engine.
        float32: without an engine, of a float64 model in float32.
        doubled: without an engine, for twice a small system.
    """

    model: Timing
    direct: Timing | None = None
    float32: Timing | None = None
    doubled: Timing | None = None


def time_calls(run: Run, direct: "Direct", *, on_cpu: bool) -> Calls:
    """Return what a call of the model takes, on the CPU otherwise too."""
    calls: dict[str, Callable[[], object]] = {
        "model": lambda: context_forces(run.simulation.context)
    }
    with tempfile.TemporaryDirectory() as name:
        if on_cpu:
            calls["direct"] = direct.potential()
            if direct.artefact.manifest.dtype == "float64":
                other = recast(direct.artefact, "float32", Path(name))
                calls["float32"] = direct.changed(artefact=other).potential()
            if len(direct.numbers) < SMALL_ATOMS:
                calls["doubled"] = direct.doubled().potential()
        found = alternated([partial(timed, call) for call in calls.values()])
    return Calls(**dict(zip(calls, found, strict=True)))


def time_list(run: Run, skin: float) -> Timing:
    """Return what a call takes longer when it builds the list anew, ms; nothing for fixed pairs.

    All atoms are put a skin aside, by turns there and back: more than half of it builds the list,
    and its pairs stay the same.
    """
    if run.molecular.independent_molecules:
        return NOTHING
    context = run.simulation.context
    start = context.getState(positions=True).getPositions(asNumpy=True)._value
    aside = start + skin * NM_PER_ANGSTROM * np.array([1.0, 0.0, 0.0])
    differences = []
    for turn in range(PAIRS_OF_CALLS + 1):
        context.setPositions(aside if turn % 2 == 0 else start)
        built, kept = (timed(lambda: context_forces(context)) for _ in range(2))
        differences.append(built - kept)
    context.setPositions(start)
    context_forces(context)
    return timing_of(differences[1:])


def time_engine(molecular: MolecularSystem, config: SimulateConfig) -> Timing:
    """Return a step of the same system without the potential, ms.

    Integrator, thermostat, the barostat's attempts and an inner potential are in it.
    """
    parts = simulation_parts(molecular, config, [], config.seed, 0)
    simulation = Simulation(*parts)
    simulation.context.setPositions(molecular.positions * NM_PER_ANGSTROM)
    draw_velocities(simulation, molecular, config, config.seed)
    chunk = config.barostat_interval if config.ensemble == "npt" else ENGINE_CHUNK

    def steps() -> None:
        for _ in range(chunk):
            simulation.step(1)

    return timing_of(repeated(steps, at_most=40)).scaled(1.0 / chunk)


def time_threads(run: Run) -> dict[int, Timing]:
    """Return the model's evaluation on one thread, on the run's own and on all cores, ms."""
    own = torch.get_num_threads()
    # The run's own first: the others are measured against it.
    numbers = [own, *sorted({1, available_cores()} - {own})]
    context = run.simulation.context

    def measure(threads: int) -> float:
        torch.set_num_threads(threads)
        context_forces(context)  # the threads start
        return timed(lambda: context_forces(context))

    try:
        found = alternated([partial(measure, threads) for threads in numbers])
    finally:
        torch.set_num_threads(own)
    return dict(zip(numbers, found, strict=True))


@dataclass(frozen=True, eq=False)
class Direct:
    """The potential of a run without an engine.

    Attributes:
        artefact: the model.
        kernel: that runs it.
        numbers: atomic numbers, (n_atoms,).
        molecules: (n_atoms,), index of each atom's molecule; None where they see each other.
        positions: (n_atoms, 3), Å.
        cell: (3, 3), Å; None where not periodic.
        skin: Å.
    """

    artefact: Artefact
    kernel: KernelName
    numbers: IntArray
    molecules: IntArray | None
    positions: FloatArray
    cell: FloatArray | None
    skin: float

    def potential(self) -> Callable[[], object]:
        """Return a call for energy and forces where the atoms are."""
        potential = ArtefactPotential(
            self.artefact,
            self.numbers,
            periodic=self.cell is not None,
            kernel=self.kernel,
            skin=self.skin,
            molecules=self.molecules,
        )
        return lambda: potential.energy_and_forces(self.positions, self.cell)

    def bound(self, skin: float) -> Any:
        """Return the module that keeps the list."""
        return self.artefact.bind(
            self.numbers,
            periodic=self.cell is not None,
            skin=skin,
            molecules=self.molecules,
            kernel=self.kernel,
        )

    def doubled(self) -> "Direct":
        """Return two of this system side by side: in a box twice as long, or out of reach."""
        if self.cell is not None:
            aside, cell = self.cell[0], self.cell * np.array([[2.0], [1.0], [1.0]])
        else:
            reach = float(np.ptp(self.positions[:, 0])) + 2.0 * self.artefact.manifest.cutoff
            aside, cell = np.array([reach + self.skin, 0.0, 0.0]), None
        molecules = self.molecules
        if molecules is not None:
            molecules = np.concatenate([molecules, molecules + molecules.max() + 1])
        return self.changed(
            numbers=np.tile(self.numbers, 2),
            molecules=molecules,
            positions=np.concatenate([self.positions, self.positions + aside]),
            cell=cell,
        )

    def changed(self, **values: Any) -> "Direct":
        """Return a copy with other values."""
        return Direct(**(vars(self) | values))


@dataclass(frozen=True)
class Pairs:
    """The pairs of a list.

    Attributes:
        edges: within the cutoff.
        listed: within cutoff and skin.
        taking: from the list that is kept, ms.
        listing: building it, ms.
    """

    edges: int
    listed: int
    taking: Timing
    listing: Timing


def time_pairs(direct: Direct, skin: float) -> Pairs:
    """Return the pairs within the cutoff, and how long taking and listing them takes."""
    module = direct.bound(skin)
    box = torch.from_numpy(np.zeros((3, 3)) if direct.cell is None else direct.cell.copy())
    here = torch.from_numpy(direct.positions.copy())
    aside = here + torch.tensor([skin, 0.0, 0.0])

    def take(x: torch.Tensor) -> Any:
        with torch.no_grad(), unoptimized():
            return module.near_pairs(x, box)

    taking = timing_of(repeated(lambda: take(here), at_most=50))
    edges, listed = len(take(here)[1]), len(module.senders)
    if direct.molecules is not None:
        return Pairs(edges, listed, taking, NOTHING)
    differences = []
    for turn in range(PAIRS_OF_CALLS + 1):
        x = aside if turn % 2 == 0 else here
        built, kept = timed(lambda x=x: take(x)), timed(lambda x=x: take(x))  # type: ignore[misc]
        differences.append(built - kept)
    return Pairs(edges, listed, taking, timing_of(differences[1:]))


def direct_of(run: Run, artefact: Artefact) -> Direct:
    """Return the potential of a run where the run stands."""
    molecular, state = run.molecular, run.simulation.context.getState(positions=True)
    box = state.getPeriodicBoxVectors(asNumpy=True)._value / NM_PER_ANGSTROM
    return Direct(
        artefact=artefact,
        kernel=run.simulation.potential.kernel,
        numbers=topology_atomic_numbers(molecular.topology),
        molecules=molecular.molecules if molecular.independent_molecules else None,
        positions=np.array(state.getPositions(asNumpy=True)._value) / NM_PER_ANGSTROM,
        cell=np.array(box) if molecular.is_periodic else None,
        skin=run.config.skin,
    )
