"""The potential in the real openmm-ml: whole Systems and mixed ones against their parts."""

import importlib
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest
import torch

from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions, ethanol_topology
from fisher_mlip.data.opls import reference_system
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    openmmml = pytest.importorskip("openmmml", reason="openmm-ml is not installed")

ROOT = Path(__file__).parents[1]
MOLECULES, SOLUTE = 4, range(9, 18)
Evaluated = tuple[float, np.ndarray]


@pytest.fixture(scope="module")
def potential(artefact: Artefact) -> Any:
    """The potential by its name; the entry point may be older than the tree in a checkout."""
    from fisher_mlip.openmm_ml.factory import FisherPotentialFactory

    openmmml.MLPotential.registerImplFactory("fisher-mlip", FisherPotentialFactory())
    return openmmml.MLPotential("fisher-mlip", modelPath=str(artefact.path))


def _positions() -> np.ndarray:
    """Four ethanols in a row, shaken, Å."""
    grid = np.arange(MOLECULES)[:, None, None] * np.array([5.0, 0.5, 0.0])
    positions = (ethanol_positions()[None] + grid).reshape(-1, 3)
    return positions + np.random.default_rng(0).normal(0.0, 0.05, positions.shape)


def _evaluate(system: openmm.System, positions: np.ndarray, **parameters: float) -> Evaluated:
    """Return energy, kJ/mol, and forces, kJ/mol/nm."""
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions * 0.1)
    for name, value in parameters.items():
        context.setParameter(name, value)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def _model(artefact: Artefact, positions: np.ndarray) -> Evaluated:
    """Return the same of the potential, called without OpenMM."""
    module = artefact.bind(np.tile(ATOMIC_NUMBERS, len(positions) // 9), periodic=False)
    x = torch.tensor(positions * 0.1, requires_grad=True)
    energy = module(x)
    (gradient,) = torch.autograd.grad(energy, x)
    return float(energy.detach()), -gradient.numpy()


def _classical(molecules: int, cell: np.ndarray | None, plain: bool = False) -> openmm.System:
    """Return the force field; plain: without Lennard-Jones, whose force has geometric means, so
    that it is a CustomNonbondedForce and openmm-ml does not interpolate it."""
    system = reference_system(molecules, cell)
    for index in reversed(range(system.getNumForces())):
        if plain and isinstance(system.getForce(index), openmm.CustomNonbondedForce):
            system.removeForce(index)
    return system


def _mixed_by_hand(artefact: Artefact, cell: np.ndarray | None, plain: bool = False) -> Evaluated:
    """Return classical of all - classical within the solute + the potential of the solute."""
    positions = _positions()
    solute = positions[list(SOLUTE)]
    energy, forces = _evaluate(_classical(MOLECULES, cell, plain), positions)
    own_energy, own_forces = _evaluate(_classical(1, None, plain), solute)
    model_energy, model_forces = _model(artefact, solute)
    forces = forces.copy()
    forces[list(SOLUTE)] += model_forces - own_forces
    return energy - own_energy + model_energy, forces


def _check_same(found: Evaluated, expected: Evaluated, tolerance: float) -> None:
    assert found[0] == pytest.approx(expected[0], abs=tolerance)
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=100 * tolerance)


def test_a_whole_system(potential: Any, artefact: Artefact) -> None:
    system = potential.createSystem(ethanol_topology(MOLECULES))
    _check_same(_evaluate(system, _positions()), _model(artefact, _positions()), 1e-8)


@pytest.mark.parametrize("cell", [None, np.diag([25.0, 22.0, 22.0])], ids=["cluster", "box"])
def test_a_solute_in_classical_solvent(
    potential: Any, artefact: Artefact, cell: np.ndarray | None
) -> None:
    topology = ethanol_topology(MOLECULES, cell)
    classical = _classical(MOLECULES, cell)
    system = potential.createMixedSystem(topology, classical, SOLUTE)
    expected = _mixed_by_hand(artefact, cell)
    tolerance = 1e-8 if cell is None else 1e-3
    _check_same(_evaluate(system, _positions()), expected, tolerance)
    other = potential.createMixedSystem(topology, classical, range(9))
    with pytest.raises(AssertionError):
        _check_same(_evaluate(other, _positions()), expected, tolerance)


def test_interpolation(potential: Any, artefact: Artefact) -> None:
    """Between the classical and the mixed energy, along a straight line."""
    classical = _classical(MOLECULES, None, plain=True)
    topology = ethanol_topology(MOLECULES)
    system = potential.createMixedSystem(topology, classical, SOLUTE, interpolate=True)
    ends = _evaluate(classical, _positions()), _mixed_by_hand(artefact, None, plain=True)
    for weight in (0.0, 0.3, 1.0):
        expected = tuple((1 - weight) * ends[0][part] + weight * ends[1][part] for part in (0, 1))
        found = _evaluate(system, _positions(), lambda_interpolate=weight)
        _check_same(found, expected, 1e-6)


def test_what_the_entry_point_names_is_light() -> None:
    """openmm-ml loads it with every import: neither torch nor ours may come with it."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    name = content["project"]["entry-points"]["openmmml.potentials"]["fisher-mlip"]
    module, factory = name.split(":")
    assert callable(getattr(importlib.import_module(module), factory))
    code = f"import sys, openmmml, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "found no path"),
        ({"modelPath": "absent.pt"}, "expected an exported model"),
        ({"modelPath": "model.pt", "charge": 1}, "found charge"),
    ],
)
def test_refusals(potential: Any, arguments: dict[str, Any], told: str) -> None:
    make: Callable[..., Any] = type(potential)
    with pytest.raises(InputError, match=told):
        make("fisher-mlip", **arguments)


def test_atoms_of_a_subset_are_checked_and_others_need_no_element(artefact: Artefact) -> None:
    """A virtual site has no element, and the potential has nothing to do with it."""
    from openmm_plugin.subset import subset_force

    topology = ethanol_topology(1)
    topology.addAtom("M", None, next(iter(topology.residues())))
    for atoms in ([0, 0], [-1], [10], [0.5]):
        with pytest.raises(InputError, match="expected indices of"):
            subset_force(artefact, topology, atoms)
    with pytest.raises(InputError, match="expected an element"):
        subset_force(artefact, topology, [0, 9])
    assert subset_force(artefact, topology, range(9)).getParticles() == tuple(range(9))
