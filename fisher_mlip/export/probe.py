"""Does this environment compute? Small checks that `fisher-mlip doctor` runs one process each.

A torch that does not match openmm-torch aborts its process, so each check is a process of its own
(`python -P probe.py CHECK [PLATFORM]`) that prints one JSON object. Nothing of ours is imported:
a broken installation must not keep its own diagnosis from running.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

FORCE_CONSTANT = 1000.0  # kJ/mol/nm^2
# Relative to the analytic value; CUDA and CPU platforms keep forces in float32.
TOLERANCE = 1e-4

FloatArray = npt.NDArray[np.float64]


class Harmonic(torch.nn.Module):
    """Springs to fixed points: U = k/2 Σ|x - x0|²."""

    anchors: torch.Tensor

    def __init__(self, anchors: FloatArray) -> None:
        super().__init__()
        self.register_buffer("anchors", torch.tensor(anchors))
        self.force_constant = FORCE_CONSTANT

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Return the energy in kJ/mol of positions (n, 3) in nm."""
        displacements = positions.to(torch.float64) - self.anchors.to(positions.device)
        return 0.5 * self.force_constant * (displacements * displacements).sum()


def torch_facts() -> dict[str, Any]:
    """Return torch's version, the CUDA devices it sees and its threads."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "version": torch.__version__,
        "cuda_build": torch.version.cuda,
        "cuda_devices": [torch.cuda.get_device_name(index) for index in range(count)],
        "threads": torch.get_num_threads(),
    }


def openmm_facts() -> dict[str, Any]:
    """Return OpenMM's version, its platforms and the plugins that did not load."""
    import openmm

    count = openmm.Platform.getNumPlatforms()
    return {
        "version": openmm.Platform.getOpenMMVersion(),
        "platforms": [openmm.Platform.getPlatform(index).getName() for index in range(count)],
        "plugin_failures": list(openmm.Platform.getPluginLoadFailures()),
        "python_force": hasattr(openmm, "PythonForce"),
    }


def neighbor_list() -> dict[str, Any]:
    """Return the error of vesin's scripted neighbor list on two atoms across a boundary, in Å."""
    import vesin.torch

    calculator = vesin.torch.NeighborList(cutoff=3.0, full_list=True)
    points = torch.tensor([[0.5, 0.0, 0.0], [9.0, 0.0, 0.0]], dtype=torch.float64)
    box = 10.0 * torch.eye(3, dtype=torch.float64)
    (distances,) = calculator.compute(points, box, True, "d")
    if len(distances) != 2:
        raise ValueError(f"expected 2 neighbors across the boundary, found {len(distances)}")
    return {"error": float((distances - 1.5).abs().max())}


def native_force(platform_name: str) -> dict[str, Any]:
    """Return the relative error of OpenMM's own harmonic force on a platform."""
    import openmm

    positions, anchors = _geometry()
    force = openmm.CustomExternalForce("0.5*k*((x-a)^2+(y-b)^2+(z-c)^2)")
    force.addGlobalParameter("k", FORCE_CONSTANT)
    for name in "abc":
        force.addPerParticleParameter(name)
    for index, anchor in enumerate(anchors):
        force.addParticle(index, anchor.tolist())
    return _compare(force, platform_name, positions, anchors)


def torch_force(platform_name: str) -> dict[str, Any]:
    """Return the relative error of a TorchScript harmonic force on a platform."""
    from openmmtorch import TorchForce

    positions, anchors = _geometry()
    module = torch.jit.script(Harmonic(anchors))
    return _compare(TorchForce(module), platform_name, positions, anchors)


def python_force(platform_name: str) -> dict[str, Any]:
    """Return the relative error of a harmonic PythonForce on a platform."""
    import openmm
    from openmm import State, unit

    positions, anchors = _geometry()

    def compute(state: State) -> tuple[float, FloatArray]:
        x = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        displacements = np.asarray(x) - anchors
        energy = 0.5 * FORCE_CONSTANT * float((displacements**2).sum())
        return energy, -FORCE_CONSTANT * displacements

    return _compare(openmm.PythonForce(compute), platform_name, positions, anchors)


def _geometry() -> tuple[FloatArray, FloatArray]:
    generator = np.random.default_rng(0)
    anchors = generator.uniform(0.0, 1.0, (5, 3))
    return anchors + generator.normal(0.0, 0.05, anchors.shape), anchors


def _compare(
    force: Any, platform_name: str, positions: FloatArray, anchors: FloatArray
) -> dict[str, Any]:
    import openmm
    from openmm import unit

    system = openmm.System()
    for _ in positions:
        system.addParticle(1.0)
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName(platform_name)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions)
    state = context.getState(getEnergy=True, getForces=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoules_per_mole / unit.nanometer)
    displacements = positions - anchors
    expected_energy = 0.5 * FORCE_CONSTANT * float((displacements**2).sum())
    expected_forces = -FORCE_CONSTANT * displacements
    return {
        "energy_error": abs(energy - expected_energy) / expected_energy,
        "force_error": float(
            np.abs(forces - expected_forces).max() / np.abs(expected_forces).max()
        ),
        "tolerance": TOLERANCE,
    }


CHECKS: dict[str, Callable[..., dict[str, Any]]] = {
    "torch": torch_facts,
    "openmm": openmm_facts,
    "neighbor-list": neighbor_list,
    "native-force": native_force,
    "torch-force": torch_force,
    "python-force": python_force,
}

if __name__ == "__main__":
    try:
        outcome = CHECKS[sys.argv[1]](*sys.argv[2:])
    except Exception as failure:
        sys.exit(f"{type(failure).__name__}: {failure}")
    print(json.dumps(outcome))
