"""The exported potential as an OpenMM force, and what it refuses."""

import numpy as np
import openmm
import pytest
import torch
from openmm import unit
from openmm.app import Topology, element

from fisher_mlip.data.ethanol import ethanol_positions, ethanol_topology
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from openmm_plugin import topology_atomic_numbers, torch_force

BOX = np.diag([14.0, 15.0, 16.0])  # Å


def _energy_and_forces(
    force: openmm.Force, positions: np.ndarray, platform: str, box: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    system = openmm.System()
    for _ in positions:
        system.addParticle(1.0)
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) for row in box * 0.1))
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName(platform)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions * 0.1)
    state = context.getState(energy=True, forces=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    return energy, state.getForces(asNumpy=True) / (unit.kilojoule_per_mole / unit.nanometer)


def _two_ethanols(distance: float) -> np.ndarray:
    shift = np.array([distance, 0.3, 0.1])
    return np.concatenate([ethanol_positions(), ethanol_positions() + shift])


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
@pytest.mark.parametrize("periodic", [False, True])
def test_force_is_the_bound_module(artefact: Artefact, platform: str, periodic: bool) -> None:
    positions = _two_ethanols(11.0)
    topology = ethanol_topology(2, BOX if periodic else None)
    module = artefact.bind(topology_atomic_numbers(topology), periodic=periodic)
    x = torch.tensor(positions * 0.1, requires_grad=True)
    expected = module(x, torch.tensor(BOX * 0.1) if periodic else None)
    expected.backward()
    force = torch_force(artefact.path.parent, topology)
    assert force.usesPeriodicBoundaryConditions() == periodic
    energy, forces = _energy_and_forces(force, positions, platform, BOX if periodic else None)
    assert energy == pytest.approx(float(expected.detach()), abs=1e-9)
    np.testing.assert_allclose(forces, -x.grad.numpy(), atol=1e-7)


def test_periodic_force_sees_images(artefact: Artefact) -> None:
    """Sabotage of the test above: without the box, the pair across the boundary is missing."""
    positions = _two_ethanols(11.0)
    with_box, _ = _energy_and_forces(
        torch_force(artefact, ethanol_topology(2, BOX)), positions, "Reference", BOX
    )
    without_box, _ = _energy_and_forces(
        torch_force(artefact, ethanol_topology(2, BOX), periodic=False), positions, "Reference"
    )
    assert abs(with_box - without_box) > 1e-3


def _assert_independent(artefact: Artefact, *, independent: bool) -> None:
    positions = _two_ethanols(1.0)
    both = torch_force(artefact, ethanol_topology(2), independent_molecules=independent)
    together, _ = _energy_and_forces(both, positions, "Reference")
    singles = [torch_force(artefact, ethanol_topology(1)) for _ in range(2)]
    alone = [
        _energy_and_forces(force, part, "Reference")[0]
        for force, part in zip(singles, np.split(positions, 2), strict=True)
    ]
    assert together == pytest.approx(sum(alone), abs=1e-8)


def test_independent_molecules_do_not_see_each_other(artefact: Artefact) -> None:
    _assert_independent(artefact, independent=True)
    with pytest.raises(AssertionError):
        _assert_independent(artefact, independent=False)


def _topology(*symbols: str | None) -> Topology:
    topology = Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    for symbol in symbols:
        kind = None if symbol is None else element.get_by_symbol(symbol)
        topology.addAtom(symbol or "X", kind, residue)
    return topology


def test_refusals(artefact: Artefact, tmp_path: object) -> None:
    with pytest.raises(InputError, match="found also N"):
        torch_force(artefact, _topology("C", "N"))
    with pytest.raises(InputError, match="found none for atom 1"):
        torch_force(artefact, _topology("C", None))
    with pytest.raises(InputError, match="with atoms"):
        torch_force(artefact, _topology())
    with pytest.raises(InputError, match="with bonds"):
        torch_force(artefact, _topology("C", "O"), independent_molecules=True)
    with pytest.raises(InputError, match="expected an exported model"):
        torch_force(f"{tmp_path}/absent.pt", _topology("C"))
