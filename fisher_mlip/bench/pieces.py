"""List, model and engine, each alone; and the model otherwise."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from openmm.app import Simulation

from fisher_mlip.bench.machine import available_cores
from fisher_mlip.bench.timing import NOTHING, Timing, repeated, timed, timing_of
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


def time_model(run: Run) -> Timing:
    """Return energy and forces by the route that runs, the list kept, ms a call."""
    return timing_of(repeated(lambda: context_forces(run.simulation.context)))


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
    found = {}
    try:
        for threads in sorted({1, own, available_cores()}):
            torch.set_num_threads(threads)
            found[threads] = time_model(run)
    finally:
        torch.set_num_threads(own)
    return found


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

    def time_call(self) -> Timing:
        """Return energy and forces, the list kept, ms."""
        potential = ArtefactPotential(
            self.artefact,
            self.numbers,
            periodic=self.cell is not None,
            kernel=self.kernel,
            skin=self.skin,
            molecules=self.molecules,
        )
        return timing_of(repeated(lambda: potential.energy_and_forces(self.positions, self.cell)))

    def bound(self, skin: float) -> Any:
        """Return the module that keeps the list."""
        return self.artefact.bind(
            self.numbers,
            periodic=self.cell is not None,
            skin=skin,
            molecules=self.molecules,
            kernel=self.kernel,
        )

    def in_float32(self) -> Timing:
        """Return the call of the same model in float32, ms."""
        with tempfile.TemporaryDirectory() as name:
            other = recast(self.artefact, "float32", Path(name))
            return self.changed(artefact=other).time_call()

    def doubled(self) -> Timing:
        """Return the call for two of this system that do not see each other's copy, ms."""
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
        ).time_call()

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

    taking = timing_of(repeated(lambda: take(here), budget_s=0.5))
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
