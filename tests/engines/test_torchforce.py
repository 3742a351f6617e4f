"""The artefact in the real OpenMM: forces, boundaries, wrapping, both dtypes."""

from collections.abc import Sequence

import numpy as np
import openmm
import pytest
from openmm import app, unit

from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.export import Artefact
from fisher_mlip.export.parity import FORCE_TOLERANCE, probe_frames
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.model.checkpoint import network_in
from fisher_mlip.units import KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM, KJ_PER_MOL_PER_EV
from openmm_plugin import torch_force


def openmm_forces(artefact: Artefact, frame: Frame, platform: str) -> tuple[float, FloatArray]:
    """Return eV (relative to isolated atoms) and eV/Å as OpenMM computes them."""
    topology = app.Topology()
    residue = topology.addResidue("ALL", topology.addChain())
    system = openmm.System()
    for number in frame.atomic_numbers:
        element = app.Element.getByAtomicNumber(int(number))
        topology.addAtom(element.symbol, element, residue)
        system.addParticle(element.mass)
    if frame.is_periodic:
        topology.setPeriodicBoxVectors(frame.cell * unit.angstrom)
        system.setDefaultPeriodicBoxVectors(*(frame.cell * 0.1))
    system.addForce(torch_force(artefact.path, topology))
    context = openmm.Context(
        system,
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatformByName(platform),
    )
    context.setPositions(frame.positions * 0.1)
    state = context.getState(getEnergy=True, getForces=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return energy / KJ_PER_MOL_PER_EV, forces / KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM


def frames() -> Sequence[Frame]:
    """A cluster, a triclinic cell, the same unwrapped; the cells in OpenMM's reduced form."""
    return probe_frames([1, 6, 8])


def assert_same_forces(found: FloatArray, expected: FloatArray, tolerance: float) -> None:
    difference = np.abs(found - expected).max()
    assert difference <= tolerance * max(1.0, np.abs(expected).max()), difference


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
@pytest.mark.parametrize("kind", [0, 1, 2], ids=["open", "triclinic", "unwrapped"])
def test_forces_equal_the_eager_models(
    exported: Artefact, fitted_checkpoint: Checkpoint, platform: str, kind: int
) -> None:

    frame = frames()[kind]
    dtype = exported.manifest.dtype
    network = network_in(fitted_checkpoint, dtype)
    eager = evaluate(network, build_graph(frame, [1, 6, 8], network.cutoff))
    energy, forces = openmm_forces(exported, frame, platform)
    tolerance = FORCE_TOLERANCE[dtype]
    assert_same_forces(forces, eager.forces.numpy(), tolerance)
    assert abs(energy - float(eager.energies[0])) <= tolerance * frame.n_atoms


def test_sabotage_a_force_one_millionth_too_large_is_caught(
    exported: Artefact, fitted_checkpoint: Checkpoint
) -> None:
    if exported.manifest.dtype != "float64":
        pytest.skip("float32 cannot see a millionth")
    frame = frames()[1]
    eager = evaluate(fitted_checkpoint.network, build_graph(frame, [1, 6, 8], 3.0))
    _, forces = openmm_forces(exported, frame, "Reference")
    with pytest.raises(AssertionError):
        assert_same_forces(forces * (1 + 1e-6), eager.forces.numpy(), FORCE_TOLERANCE["float64"])


def test_sabotage_the_wrong_box_is_caught(
    exported: Artefact, fitted_checkpoint: Checkpoint
) -> None:
    frame = frames()[1]
    eager = evaluate(fitted_checkpoint.network, build_graph(frame, [1, 6, 8], 3.0))
    straight = Frame(frame.atomic_numbers, frame.positions, np.diag(np.diag(frame.cell)), frame.pbc)
    _, forces = openmm_forces(exported, straight, "Reference")
    with pytest.raises(AssertionError):
        assert_same_forces(forces, eager.forces.numpy(), FORCE_TOLERANCE["float32"])
