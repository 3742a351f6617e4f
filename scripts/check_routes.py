"""The same forces by every way to call a model, on the liquid box, and what a call costs.

python scripts/check_routes.py checkpoint/ --molecules 600 --threads 1 2
Prints a JSON line per dtype and way: the largest force difference from the eager model (eV/Å), and
the milliseconds of a call with the neighbor list kept.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import torch
from ase import Atoms
from openmm import unit

from fisher_mlip.config import DtypeName, SimulateConfig
from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.export import Artefact, FisherCalculator, write_artefact
from fisher_mlip.export.fusing import why_not_fused
from fisher_mlip.export.potential import KernelChoice
from fisher_mlip.model import Checkpoint, build_graph, evaluate, load_checkpoint
from fisher_mlip.model.checkpoint import network_in
from fisher_mlip.simulate.engine import box_vectors, context_forces
from fisher_mlip.simulate.systems import MolecularSystem, build_molecular_system
from fisher_mlip.units import KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM, NM_PER_ANGSTROM
from openmm_plugin import make_force

Forces = Callable[[], FloatArray]
KERNELS: tuple[KernelChoice, ...] = ("torchscript", "fused")


def main() -> None:
    """Measure and print."""
    options = parse_options()
    checkpoint = load_checkpoint(options.checkpoint)
    config = SimulateConfig(
        model="", system="ethanol-liquid", molecules=options.molecules, device="cpu"
    )
    liquid = build_molecular_system(config, checkpoint.network.cutoff)
    for dtype in options.dtypes:
        with tempfile.TemporaryDirectory() as folder:
            artefact = write_artefact(Path(folder), checkpoint, dtype)
            measure(options, checkpoint, artefact, liquid)


def measure(
    options: argparse.Namespace, checkpoint: Checkpoint, artefact: Artefact, liquid: MolecularSystem
) -> None:
    """Print a line for each way to call an artefact."""
    expected: FloatArray | None = None
    for way, forces in ways(checkpoint, artefact, liquid):
        found = forces()
        expected = found if expected is None else expected
        milliseconds = {}
        for n_threads in options.threads:
            torch.set_num_threads(n_threads)
            seconds = min(timed(forces) for _ in range(options.repeats))
            milliseconds[str(n_threads)] = round(1e3 * seconds, 1)
        line: dict[str, Any] = {
            **{"way": way, "dtype": artefact.manifest.dtype, "molecules": options.molecules},
            "force_difference": float(np.abs(found - expected).max()),
            "largest_force": float(np.abs(expected).max()),
            "ms_per_call_by_threads": milliseconds,
            "load": os.getloadavg()[0],
        }
        print(json.dumps(line), flush=True)


def ways(
    checkpoint: Checkpoint, artefact: Artefact, liquid: MolecularSystem
) -> Iterator[tuple[str, Forces]]:
    """Yield a name, and what returns forces in eV/Å, of each way; the eager model comes first."""
    numbers = np.array([atom.element.atomic_number for atom in liquid.topology.atoms()])
    frame = Frame(numbers, liquid.positions, liquid.cell, np.ones(3, dtype=bool))
    network = network_in(checkpoint, artefact.manifest.dtype)
    network.requires_grad_(False)
    graph = build_graph(frame, checkpoint.config.elements, network.cutoff)
    yield "eager", lambda: np.asarray(evaluate(network, graph).forces.numpy())
    lacking = why_not_fused(artefact.manifest)
    for kernel in KERNELS[:1] if lacking else KERNELS:
        atoms = Atoms(numbers, frame.positions, cell=frame.cell, pbc=True)
        atoms.calc = FisherCalculator(artefact, kernel=kernel)
        yield f"ASE ({kernel})", lambda a=atoms: forces_in_ase(a)
    for route in ("torchforce", "python"):
        built = make_force(artefact, liquid.topology, route=route)
        context = context_of(built.force, liquid)
        yield built.name, lambda c=context: forces_of(c, liquid)


def forces_in_ase(atoms: Any) -> FloatArray:
    """Return forces in eV/Å, computed anew."""
    atoms.calc.reset()
    return np.asarray(atoms.get_forces())


def context_of(force: openmm.Force, liquid: MolecularSystem) -> openmm.Context:
    """Return a context of the liquid under a force, on the CPU platform."""
    system = openmm.System()
    for mass in liquid.masses:
        system.addParticle(float(mass))
    system.setDefaultPeriodicBoxVectors(*box_vectors(np.asarray(liquid.cell)))
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName("CPU")
    integrator = openmm.VerletIntegrator(1.0 * unit.femtosecond)
    return openmm.Context(system, integrator, platform)


def forces_of(context: openmm.Context, liquid: MolecularSystem) -> FloatArray:
    """Return forces in eV/Å; setting the positions makes OpenMM compute them anew."""
    context.setPositions(liquid.positions * NM_PER_ANGSTROM)
    return context_forces(context) / KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM


def timed(call: Forces) -> float:
    """Return the seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--molecules", type=int, default=600)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=3)
    names: list[DtypeName] = ["float64", "float32"]
    parser.add_argument("--dtypes", nargs="+", default=names, choices=names)
    return parser.parse_args()


if __name__ == "__main__":
    main()
