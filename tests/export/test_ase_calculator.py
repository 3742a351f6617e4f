"""The ASE calculator is the eager model: energies, forces, stress, uncertainty, in both dtypes."""

import pickle
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, FisherCalculator
from fisher_mlip.export.parity import FORCE_TOLERANCE, probe_frames
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.model.uncertainty import estimate_uncertainty
from fisher_mlip.testing import assert_forces_match_energy

FRAMES = probe_frames([1, 6, 8])


def atoms_of(frame: Frame, calculator: FisherCalculator) -> Any:
    cell = frame.cell if frame.is_periodic else None
    atoms = Atoms(frame.atomic_numbers, frame.positions, cell=cell, pbc=frame.is_periodic)
    atoms.calc = calculator
    return atoms


def eager(checkpoint: Checkpoint, frame: Frame) -> tuple[float, FloatArray, FloatArray | None]:
    graph = build_graph(frame, checkpoint.config.elements, checkpoint.network.cutoff)
    found = evaluate(checkpoint.network, graph, stress=frame.is_periodic)
    stress = None if found.stresses is None else np.asarray(found.stresses[0].numpy())
    return float(found.energies[0]), np.asarray(found.forces.numpy()), stress


def assert_is_eager(found: FloatArray, expected: FloatArray, artefact: Artefact) -> None:
    tolerance = FORCE_TOLERANCE[artefact.manifest.dtype] * max(1.0, np.abs(expected).max())
    assert np.abs(found - expected).max() <= tolerance


@pytest.mark.parametrize("index", range(len(FRAMES)))
def test_energy_and_forces_are_the_eager_models(
    index: int, exported: Artefact, fitted_checkpoint: Checkpoint
) -> None:
    frame = FRAMES[index]
    atoms = atoms_of(frame, FisherCalculator(exported))
    energy, forces, _ = eager(fitted_checkpoint, frame)
    assert_is_eager(atoms.get_forces(), forces, exported)
    assert_is_eager(
        np.array([atoms.get_potential_energy() / len(atoms)]),
        np.array([energy / len(atoms)]),
        exported,
    )
    with pytest.raises(AssertionError):
        assert_is_eager(1.01 * atoms.get_forces(), forces, exported)


def test_stress_is_the_eager_models(exported: Artefact, fitted_checkpoint: Checkpoint) -> None:
    frame = FRAMES[2]
    found = atoms_of(frame, FisherCalculator(exported)).get_stress(voigt=False)
    _, _, expected = eager(fitted_checkpoint, frame)
    assert expected is not None
    assert_is_eager(found, expected, exported)
    swapped = found.copy()
    swapped[[0, 1], [2, 2]] = swapped[[1, 0], [2, 2]]
    assert np.abs(found[0, 2] - found[1, 2]) > 1e-3
    with pytest.raises(AssertionError):
        assert_is_eager(swapped, expected, exported)


def test_forces_are_the_gradient(artefact: Artefact, ethanol_frames: Frames) -> None:
    atoms = atoms_of(ethanol_frames[0], FisherCalculator(artefact))

    def energy_and_forces(positions: FloatArray) -> tuple[float, FloatArray]:
        atoms.positions = positions
        return float(atoms.get_potential_energy()), atoms.get_forces()

    assert_forces_match_energy(energy_and_forces, ethanol_frames[0].positions)


def test_uncertainty_is_the_eager_models(
    exported: Artefact, fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    frame = ethanol_frames[0]
    calculator = FisherCalculator(exported)
    found = calculator.get_property("uncertainty", atoms_of(frame, calculator))
    graph = build_graph(frame, fitted_checkpoint.config.elements, fitted_checkpoint.network.cutoff)
    expected = estimate_uncertainty(fitted_checkpoint.network, graph).forces
    assert expected is not None
    assert found == pytest.approx(expected.numpy(), rel=1e-3)
    assert 1.01 * found != pytest.approx(expected.numpy(), rel=1e-3)


def test_uncertainty_of_a_model_without_heads_is_refused(
    artefact: Artefact, ethanol_frames: Frames
) -> None:
    calculator = FisherCalculator(artefact)
    with pytest.raises(InputError, match="sampled heads"):
        calculator.get_property("uncertainty", atoms_of(ethanol_frames[0], calculator))


def test_total_energies_carry_the_isolated_atoms(
    artefact: Artefact, ethanol_frames: Frames
) -> None:
    frame = ethanol_frames[0]
    relative = atoms_of(frame, FisherCalculator(artefact))
    total = atoms_of(frame, FisherCalculator(artefact, total_energies=True))
    zeros = artefact.manifest.reference_energies
    by_atom = np.array([zeros[int(number)] for number in frame.atomic_numbers])
    difference = total.get_potential_energy() - relative.get_potential_energy()
    assert difference == pytest.approx(by_atom.sum(), rel=1e-12)
    assert total.get_potential_energies() - relative.get_potential_energies() == pytest.approx(
        by_atom
    )
    assert relative.get_potential_energies().sum() == pytest.approx(relative.get_potential_energy())


def test_other_atoms_get_a_list_of_their_own(artefact: Artefact) -> None:
    shared = FisherCalculator(artefact)
    for frame in (FRAMES[0], FRAMES[1], FRAMES[0]):
        alone = atoms_of(frame, FisherCalculator(artefact)).get_forces()
        assert np.array_equal(atoms_of(frame, shared).get_forces(), alone)


def test_dynamics_in_ase_keep_the_energy(artefact: Artefact, ethanol_frames: Frames) -> None:
    atoms = atoms_of(ethanol_frames[0], FisherCalculator(artefact))
    start = atoms.get_total_energy()
    VelocityVerlet(atoms, 0.25 * units.fs).run(20)
    assert atoms.get_kinetic_energy() > 1e-4
    assert atoms.get_total_energy() == pytest.approx(start, abs=0.05 * atoms.get_kinetic_energy())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pbc": [True, True, False]}, "periodic in all directions or in none"),
        ({"numbers": [6] * 8 + [7]}, "the model knows the elements"),
        ({"pbc": True}, "cell"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    change: dict[str, Any], sentence: str, artefact: Artefact, ethanol_frames: Frames
) -> None:
    atoms = atoms_of(ethanol_frames[0], FisherCalculator(artefact))
    for name, value in change.items():
        setattr(atoms, name, value)
    with pytest.raises(InputError, match=sentence):
        atoms.get_potential_energy()


def test_a_stress_needs_a_cell(artefact: Artefact, ethanol_frames: Frames) -> None:
    with pytest.raises(InputError, match="a stress"):
        atoms_of(ethanol_frames[0], FisherCalculator(artefact)).get_stress()


def test_no_atoms_are_refused(artefact: Artefact) -> None:
    with pytest.raises(InputError, match="at least one atom"):
        FisherCalculator(artefact).get_potential_energy(Atoms())


def test_a_used_calculator_is_copied_to_other_processes(artefact: Artefact) -> None:
    """As ASE's own parallel tools do."""
    calculator = FisherCalculator(artefact)
    forces = atoms_of(FRAMES[0], calculator).get_forces()
    copied = pickle.loads(pickle.dumps(calculator))
    assert np.array_equal(atoms_of(FRAMES[0], copied).get_forces(), forces)
