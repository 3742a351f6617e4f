"""The embedded reference against plain numpy, its own finite differences, and other routes."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import openmm
import pytest
from ase import Atoms
from openmm import unit
from scipy.spatial.transform import Rotation

from fisher_mlip.data.ethanol import (
    ATOMIC_NUMBERS,
    BONDS,
    check_hydrogens,
    ethanol_numbers,
    ethanol_positions,
    ethanol_topology,
)
from fisher_mlip.data.opls import OplsEthanol, independent_system, reference_system
from fisher_mlip.data.opls_calculator import OplsEthanolCalculator
from fisher_mlip.errors import InputError
from fisher_mlip.units import KJ_PER_MOL_PER_EV

Array = npt.NDArray[np.float64]
ENERGY_TOLERANCE = 1e-6  # eV; tables with ten digits, constants of nature with nine


def _load_numpy_opls() -> ModuleType:
    path = Path(__file__).with_name("oplsaa_numpy.py")
    spec = importlib.util.spec_from_file_location("oplsaa_numpy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


numpy_opls = _load_numpy_opls()


def shaken(molecules: int, seed: int, amplitude: float = 0.05) -> Array:
    """Molecules in a row, 5 Å apart, turned at random, every atom displaced."""
    generator = np.random.default_rng(seed)
    turned = [
        ethanol_positions(generator.uniform(-np.pi, np.pi)) @ rotation.as_matrix().T
        for rotation in Rotation.random(molecules, random_state=seed)
    ]
    placed = np.stack(turned) + np.arange(molecules)[:, None, None] * [5.0, 0.0, 0.0]
    return (placed + generator.normal(0.0, amplitude, placed.shape)).reshape(-1, 3)


def box(molecules: int = 16, seed: int = 1) -> tuple[Array, Array]:
    """A triclinic box with molecules on a grid."""
    length, per_side = 13.5, 3
    grid = np.indices((per_side,) * 3).reshape(3, -1).T[:molecules] * length / per_side
    generator = np.random.default_rng(seed)
    single = ethanol_positions()
    positions = grid[:, None] + 0.95 * single + generator.normal(0, 0.03, (molecules, 9, 3))
    cell = np.array([[length, 0, 0], [1.0, length, 0], [0.5, -2.0, length]])
    return positions.reshape(-1, 3), cell


def require_energy(found: float, expected: float) -> None:
    assert abs(found - expected) < ENERGY_TOLERANCE, f"{found} eV, expected {expected} eV"


@pytest.mark.parametrize("seed", range(4))
def test_one_molecule_agrees_with_numpy(seed: int) -> None:
    positions = shaken(1, seed)
    require_energy(OplsEthanol(1).energy(positions), numpy_opls.molecule_energy(positions))


def test_three_molecules_agree_with_numpy() -> None:
    positions = shaken(3, 5)
    parts = positions.reshape(3, 9, 3)
    expected = sum(numpy_opls.molecule_energy(part) for part in parts)
    pairs = ((0, 1), (0, 2), (1, 2))
    between = sum(numpy_opls.pair_energy(parts[i], parts[j]) for i, j in pairs)
    assert abs(between) > 0.01
    require_energy(OplsEthanol(3).energy(positions), expected + between)


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("LENNARD_JONES", "HC", (2.51, 0.03)),
        ("TORSION", ("HC", "CT", "CT", "HC"), (0.0, 0.0, 0.3)),
        ("BOND", ("CT", "HC"), (340.0, 1.0905)),
        ("ANGLE", ("CT", "OH", "HO"), (55.5, 108.5)),
    ],
)
def test_sabotage_every_table_counts(
    monkeypatch: pytest.MonkeyPatch, table: str, key: object, value: tuple[float, ...]
) -> None:
    monkeypatch.setitem(getattr(numpy_opls, table), key, value)
    positions = shaken(1, 0)
    with pytest.raises(AssertionError):
        require_energy(OplsEthanol(1).energy(positions), numpy_opls.molecule_energy(positions))


def test_molecules_are_neutral() -> None:
    assert sum(numpy_opls.CHARGES) == pytest.approx(0.0, abs=1e-12)


def test_the_gas_system_is_the_sum_of_single_molecules() -> None:
    positions = shaken(4, 7)
    context = openmm.Context(
        independent_system(4),
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatformByName("Reference"),
    )
    context.setPositions(positions / 10)
    total = context.getState(getEnergy=True).getPotentialEnergy()
    single = OplsEthanol(1)
    expected = sum(single.energy(part) for part in positions.reshape(4, 9, 3))
    found = total.value_in_unit(unit.kilojoule_per_mole) / KJ_PER_MOL_PER_EV
    assert found == pytest.approx(expected, abs=1e-9)


def require_gradient(energy: Callable[[Array], float], positions: Array, forces: Array) -> None:
    """Central differences along random directions, each moving every atom."""
    generator = np.random.default_rng(0)
    for _ in range(4):
        direction = generator.normal(size=positions.shape)
        step = 1e-5
        ahead, behind = energy(positions + step * direction), energy(positions - step * direction)
        slope = (ahead - behind) / (2 * step)
        assert slope == pytest.approx(-float(np.sum(forces * direction)), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("periodic", [False, True])
def test_forces_are_minus_the_gradient(periodic: bool) -> None:
    positions, cell = box() if periodic else (shaken(2, 2), None)
    reference = OplsEthanol(len(positions) // 9, cell)
    _, forces = reference.energy_and_forces(positions)
    require_gradient(reference.energy, positions, forces)
    with pytest.raises(AssertionError):
        require_gradient(reference.energy, positions, 1.001 * forces)


def require_stress(
    calculator: OplsEthanolCalculator, positions: Array, cell: Array, stress: Array
) -> None:
    """A symmetric strain in a random direction, cell not lower triangular any more."""
    generator = np.random.default_rng(4)
    strain = generator.normal(size=(3, 3))
    strain = (strain + strain.T) / 2
    energies = []
    for step in (1e-4, -1e-4):
        matrix = np.eye(3) + step * strain
        atoms = Atoms(
            numbers=ethanol_numbers(len(positions) // 9),
            positions=positions @ matrix,
            cell=cell @ matrix,
            pbc=True,
        )
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
    slope = (energies[0] - energies[1]) / 2e-4
    expected = float(np.sum(stress * strain) * np.linalg.det(cell))
    # PME's parameters are chosen anew in each box; that costs three digits.
    assert slope == pytest.approx(expected, rel=2e-3)


def test_stress_is_the_derivative_by_a_symmetric_strain() -> None:
    positions, cell = box()
    stress = OplsEthanol(16, cell).stress(positions)
    require_stress(OplsEthanolCalculator(), positions, cell, stress)
    swapped = stress[[0, 2, 1]][:, [0, 2, 1]]
    for sabotaged in (1.01 * stress, swapped, stress.T * -1):
        with pytest.raises(AssertionError):
            require_stress(OplsEthanolCalculator(), positions, cell, sabotaged)


def test_a_gas_has_no_stress() -> None:
    with pytest.raises(InputError, match="expected a periodic box for a stress"):
        OplsEthanol(1).stress(ethanol_positions())


def test_the_calculator_turns_with_the_box_and_takes_wrapped_atoms() -> None:
    positions, cell = box()
    reference = OplsEthanol(16, cell)
    energy, forces = reference.energy_and_forces(positions)
    rotation = Rotation.random(random_state=3).as_matrix()
    atoms = Atoms(
        numbers=ethanol_numbers(16), positions=positions @ rotation.T, cell=cell @ rotation.T, pbc=1
    )
    atoms.wrap()
    atoms.calc = OplsEthanolCalculator()
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-9)
    np.testing.assert_allclose(atoms.get_forces(), forces @ rotation.T, atol=1e-9)
    stress = rotation @ reference.stress(positions) @ rotation.T
    np.testing.assert_allclose(atoms.get_stress(voigt=False), stress, atol=1e-9)


def test_the_calculator_knows_isolated_atoms() -> None:
    atom = Atoms("O")
    atom.calc = OplsEthanolCalculator()
    assert atom.get_potential_energy() == 0.0


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        ([2, 0, 1, 3, 4, 5, 6, 7, 8], "atoms in the order C C O H H H H H H, found 9 atoms"),
        ([0, 1, 2, 8, 4, 5, 6, 7, 3], "found hydrogen 3 of molecule 0 bound to atom 2"),
        ([1, 0, 2, 3, 4, 5, 6, 7, 8], "found hydrogen 3 of molecule 0 bound to atom 1"),
    ],
)
def test_other_atom_orders_are_refused(order: list[int], sentence: str) -> None:
    atoms = Atoms(numbers=ATOMIC_NUMBERS[order], positions=ethanol_positions()[order])
    atoms.calc = OplsEthanolCalculator()
    with pytest.raises(InputError, match=sentence):
        atoms.get_potential_energy()


@pytest.mark.real_data
def test_the_order_is_that_of_rmd17(real_data: Path) -> None:
    from fisher_mlip.data import read_frames

    for frame in read_frames(real_data / "train.xyz"):
        check_hydrogens(frame.positions)
        lengths = [np.linalg.norm(frame.positions[i] - frame.positions[j]) for i, j in BONDS]
        assert max(lengths) < 1.75


def test_topology_has_a_residue_and_eight_bonds_per_molecule() -> None:
    topology = ethanol_topology(3, 20 * np.eye(3))
    assert (topology.getNumResidues(), topology.getNumAtoms()) == (3, 27)
    bonds = {(first.index, second.index) for first, second in topology.bonds()}
    assert bonds == {(i + 9 * m, j + 9 * m) for m in range(3) for i, j in BONDS}
    assert topology.getPeriodicBoxVectors()[2][2].value_in_unit(unit.angstrom) == pytest.approx(20)


def test_the_long_range_correction_is_on_and_charges_have_no_dispersion() -> None:
    system = reference_system(16, 20 * np.eye(3))
    forces = {force.getName(): force for force in system.getForces()}
    assert forces["LennardJones"].getUseLongRangeCorrection()
    assert forces["LennardJones"].getCutoffDistance().value_in_unit(unit.angstrom) == 9.0
    assert forces["LennardJones14"].getNumBonds() == 16 * 12
