"""Ours: an artefact through OpenMM, by each route; in this project's own environment."""

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from measuring import (
    Job,
    bare_system,
    list_microseconds,
    openmm_times,
    read_box,
    run_worker,
)

from fisher_mlip.export import load_artefact
from fisher_mlip.export.potential import choose_kernel
from openmm_plugin import PotentialForce, make_force
from openmm_plugin.force import Route


def by_route(route: Route) -> Callable[[Job], dict[str, Any]]:
    """Return what times a route."""

    def times(job: Job) -> dict[str, Any]:
        built: list[PotentialForce] = []

        def system_of(topology: Any) -> Any:
            made = make_force(job.model, topology, route=route, platform="CPU")
            built.append(made)
            system = bare_system(topology)
            system.addForce(made.force)
            return system

        found = openmm_times(job, system_of)
        rebuilds = built[0].list_rebuilds()
        return found | list_of(job) | {"kernel": built[0].kernel, "list_rebuilds": rebuilds}

    return times


def list_of(job: Job) -> dict[str, Any]:
    """Return the time of a list built anew, which a run does once in many steps, and its size."""
    atoms = read_box(job)
    artefact = load_artefact(Path(job.model))
    kernel, _ = choose_kernel(artefact, "auto")
    module = artefact.bind(atoms.numbers, periodic=True, kernel=kernel)
    positions, box = torch.tensor(atoms.positions), torch.tensor(atoms.cell.array)

    def build() -> Any:
        # Farther than half of the skin, so that the list that is kept is of no use.
        positions.add_(1.0)
        return module.near_pairs(positions, box)

    return {
        "version": metadata.version("fisher-mlip"),
        "atoms": len(atoms),
        "edges": len(build()[1]),
        "list_us": list_microseconds(build, len(atoms), job),
    }


if __name__ == "__main__":
    run_worker({"torchforce": by_route("torchforce"), "python": by_route("python")})
