"""Both routes on OpenMM's CUDA platform against the eager model; skipped where there is no GPU."""

import numpy as np
import openmm
import pytest
import torch
from openmm import app, unit

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.export import Artefact
from fisher_mlip.export.parity import FORCE_TOLERANCE, probe_frames
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.model.checkpoint import network_in
from fisher_mlip.units import KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM
from openmm_plugin import make_force
from openmm_plugin.force import Route

PLATFORM = "CUDA"
FORCE = unit.kilojoule_per_mole / unit.nanometer


def has_gpu() -> bool:
    names = [
        openmm.Platform.getPlatform(k).getName() for k in range(openmm.Platform.getNumPlatforms())
    ]
    return PLATFORM in names and torch.cuda.is_available()


@pytest.mark.skipif(not has_gpu(), reason="no GPU that OpenMM and torch both see")
@pytest.mark.parametrize("route", ["torchforce", "python"])
@pytest.mark.parametrize("kind", range(3), ids=["open", "triclinic", "unwrapped"])
def test_forces_are_the_eager_models(
    fused: Artefact, checkpoint: Checkpoint, route: Route, kind: int
) -> None:
    frame = probe_frames([1, 6, 8])[kind]
    topology = app.Topology()
    residue = topology.addResidue("ALL", topology.addChain())
    system = openmm.System()
    for number in frame.atomic_numbers:
        element = app.Element.getByAtomicNumber(int(number))
        topology.addAtom(element.symbol, element, residue)
        system.addParticle(12.0)
    if frame.is_periodic:
        topology.setPeriodicBoxVectors(frame.cell * unit.angstrom)
        system.setDefaultPeriodicBoxVectors(*(frame.cell * 0.1))
    built = make_force(fused, topology, route=route, platform=PLATFORM)
    # A TorchForce stays on the GPU with its TorchScript, a PythonForce's model on the CPU.
    assert built.kernel == {"torchforce": "torchscript", "python": "fused"}[route]
    system.addForce(built.force)
    # In `mixed` OpenMM rounds positions to float32, which alone moves forces by 1e-4 eV/Å.
    precision = {"Precision": "double"} if PLATFORM == "CUDA" else {}
    context = openmm.Context(
        system,
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatformByName(PLATFORM),
        precision,
    )
    context.setPositions(frame.positions * 0.1)
    found = context.getState(forces=True).getForces(asNumpy=True).value_in_unit(FORCE)
    found = np.asarray(found) / KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM
    network = network_in(checkpoint, fused.manifest.dtype)
    expected = evaluate(network, build_graph(frame, [1, 6, 8], network.cutoff)).forces.numpy()
    tolerance = FORCE_TOLERANCE[fused.manifest.dtype]
    check_same(found, expected, tolerance)
    with pytest.raises(AssertionError):
        check_same(1.01 * found, expected, tolerance)


def check_same(found: FloatArray, expected: FloatArray, tolerance: float) -> None:
    assert np.abs(found - expected).max() <= tolerance * max(1.0, np.abs(expected).max())
