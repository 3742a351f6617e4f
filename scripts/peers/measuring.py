"""What the workers share: the job, the clock, and a step in ASE or in OpenMM.

Runs in the environment of every peer, so it imports numpy, ASE, torch and OpenMM alone.
"""

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import torch
from ase.calculators.calculator import all_changes
from ase.io import read
from openmm import app, unit

# So short that nothing moves: what is timed is the step, not the dynamics.
TIMESTEP_FS = 0.01
WANDER_ANGSTROM = 1e-3

Step = Callable[[], object]
SystemOf = Callable[[app.Topology], openmm.System]


@dataclass(frozen=True)
class Job:
    """What the driver asks for.

    Attributes:
        task: a route, or `prepare` or `compile`, which write a model.
        cutoff: Å.
        neighbors: mean number of neighbors, which peers divide sums by.
        box: extended XYZ, periodic.
        model: file or folder of the model; where `prepare` and `compile` write.
        source: the model that is compiled.
        steps: timed ones.
        warm_up: steps before those.
    """

    task: str
    cutoff: float
    neighbors: float
    box: str
    model: str
    source: str = ""
    steps: int = 10
    warm_up: int = 3


def run_worker(tasks: Mapping[str, Callable[[Job], dict[str, Any]]]) -> None:
    """Do the job of the command line; the last line printed is JSON."""
    job = Job(**json.loads(sys.argv[1]))
    found = tasks[job.task](job)
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({**found, "torch": torch.__version__, "peak_gb": round(peak_gb, 2)}))


def model_file(model: str, name: str) -> Path:
    """Return the file of a model: `name` in the folder that `prepare` wrote, or the one given."""
    path = Path(model)
    return path / name if path.is_dir() else path


def read_box(job: Job) -> Any:
    """Return the box as ASE's Atoms."""
    return read(job.box)


def step_seconds(step: Step, job: Job) -> list[float]:
    """Return the seconds of each step after the warm-up."""
    for _ in range(job.warm_up):
        step()
    found = []
    for _ in range(job.steps):
        start = time.perf_counter()
        step()
        found.append(time.perf_counter() - start)
    return found


def per_atom(seconds: list[float], n_atoms: int) -> dict[str, float]:
    """Return median and quartiles, µs per atom."""
    lower, median, upper = np.percentile(np.array(seconds) * 1e6 / n_atoms, [25, 50, 75])
    return {
        "median": round(float(median), 3),
        "lower_quartile": round(float(lower), 3),
        "upper_quartile": round(float(upper), 3),
    }


def list_microseconds(build: Step, n_atoms: int, job: Job) -> float:
    """Return the median time of a neighbor list, µs per atom."""
    return round(statistics.median(step_seconds(build, job)) * 1e6 / n_atoms, 3)


def ase_times(job: Job, calculator: Any) -> dict[str, Any]:
    """Return the times of positions -> list -> energy and forces in an ASE calculator."""
    atoms = read_box(job)
    generator = np.random.default_rng(0)

    def step() -> None:
        # As in dynamics the edges change from step to step, and ASE caches nothing.
        atoms.positions += generator.normal(0.0, WANDER_ANGSTROM, atoms.positions.shape)
        calculator.calculate(atoms, ["energy", "forces"], all_changes)

    seconds = step_seconds(step, job)
    check_forces(calculator.results["forces"])
    return {"us_per_atom_step": per_atom(seconds, len(atoms)), "integrator_us": None}


def openmm_times(job: Job, system_of: SystemOf) -> dict[str, Any]:
    """Return the times of an OpenMM step, and of one whose force is zero."""
    atoms = read_box(job)
    seconds = openmm_seconds(job, atoms, system_of)
    idle = statistics.median(openmm_seconds(job, atoms, zero_system))
    return {
        "us_per_atom_step": per_atom(seconds, len(atoms)),
        "integrator_us": round(idle * 1e6 / len(atoms), 3),
    }


def openmm_seconds(job: Job, atoms: Any, system_of: SystemOf) -> list[float]:
    """Return the seconds of velocity Verlet steps from rest on the CPU platform."""
    integrator = openmm.VerletIntegrator(TIMESTEP_FS * unit.femtosecond)
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(system_of(topology_of(atoms)), integrator, platform)
    context.setPositions(atoms.positions * unit.angstrom)
    seconds = step_seconds(lambda: integrator.step(1), job)
    check_forces(context.getState(forces=True).getForces(asNumpy=True)._value)
    return seconds


def check_forces(forces: Any) -> None:
    """Raise ValueError where a force is not finite: such a step has another price."""
    if not np.isfinite(forces).all():
        raise ValueError("expected finite forces, found some that are not")


def topology_of(atoms: Any) -> app.Topology:
    """Return the elements and the box; bonds are not needed."""
    topology = app.Topology()
    residue = topology.addResidue("BOX", topology.addChain())
    for number in atoms.numbers:
        element = app.Element.getByAtomicNumber(int(number))
        topology.addAtom(element.symbol, element, residue)
    topology.setPeriodicBoxVectors([openmm.Vec3(*row) * 0.1 for row in atoms.cell.array])
    return topology


def bare_system(topology: app.Topology) -> openmm.System:
    """Return the masses in the box, without a force."""
    system = openmm.System()
    for atom in topology.atoms():
        system.addParticle(atom.element.mass)
    system.setDefaultPeriodicBoxVectors(*topology.getPeriodicBoxVectors())
    return system


def zero_system(topology: app.Topology) -> openmm.System:
    """Return a System of a PythonForce that is zero: what a step costs around the model."""
    forces = np.zeros((topology.getNumAtoms(), 3))
    system = bare_system(topology)
    system.addForce(openmm.PythonForce(lambda state: (0.0, forces)))
    return system
