"""The artefact in Python: both kernels, stress, uncertainty, head scale, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray, Frame, Frames
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, ArtefactPotential
from fisher_mlip.export.parity import FORCE_TOLERANCE, probe_frames
from fisher_mlip.export.potential import KernelChoice
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.model.checkpoint import network_in
from fisher_mlip.model.uncertainty import estimate_uncertainty

TRICLINIC = probe_frames([1, 6, 8])[2]
OPEN = probe_frames([1, 6, 8])[0]
KERNELS: tuple[KernelChoice, KernelChoice] = ("torchscript", "fused")


def potential_of(
    artefact: Artefact, frame: Frame, kernel: KernelChoice = "torchscript"
) -> ArtefactPotential:
    return ArtefactPotential(
        artefact, frame.atomic_numbers, periodic=frame.is_periodic, kernel=kernel
    )


def check_close(found: FloatArray, expected: FloatArray, tolerance: float) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("kernel", KERNELS)
def test_energy_forces_and_stress_are_the_eager_models(
    fused: Artefact, checkpoint: Checkpoint, kernel: KernelChoice
) -> None:
    network = network_in(checkpoint, fused.manifest.dtype)
    graph = build_graph(TRICLINIC, [1, 6, 8], network.cutoff)
    eager = evaluate(network, graph, stress=True)
    assert eager.stresses is not None
    expected_stress = eager.stresses[0].numpy()
    potential = potential_of(fused, TRICLINIC, kernel)
    assert potential.kernel == kernel
    energy, forces, stress = potential.energy_forces_stress(TRICLINIC.positions, TRICLINIC.cell)
    tolerance = FORCE_TOLERANCE[fused.manifest.dtype]
    check_close(np.array([energy]), eager.energies.numpy(), tolerance * TRICLINIC.n_atoms)
    check_close(forces, eager.forces.numpy(), tolerance)
    # At the scale of one volume, eV: a stress is small in eV/Å^3 whether it is right or not.
    volume = float(np.linalg.det(TRICLINIC.cell))
    check_close(volume * stress, volume * expected_stress, tolerance)
    swapped = stress[[1, 0, 2]][:, [1, 0, 2]]
    for wrong in (swapped, 1.01 * stress, -stress):
        with pytest.raises(AssertionError):
            check_close(volume * wrong, volume * expected_stress, tolerance)
    atomic = potential.atomic_energies(TRICLINIC.positions, TRICLINIC.cell)
    assert atomic.sum() == pytest.approx(energy, abs=1e-12)


def test_the_stress_is_the_slope_of_the_energy(artefact: Artefact) -> None:
    potential = potential_of(artefact, TRICLINIC)
    x, cell = TRICLINIC.positions, TRICLINIC.cell
    _, _, stress = potential.energy_forces_stress(x, cell)
    step = 1e-5
    for i, j in ((0, 0), (1, 2), (2, 0)):
        strain = np.zeros((3, 3))
        strain[i, j] += 0.5 * step
        strain[j, i] += 0.5 * step
        energies = [
            potential.energy_and_forces(x + sign * x @ strain, cell + sign * cell @ strain)[0]
            for sign in (1.0, -1.0)
        ]
        slope = (energies[0] - energies[1]) / (2.0 * step) / np.linalg.det(cell)
        assert slope == pytest.approx(stress[i, j], abs=1e-8)
        assert slope != pytest.approx(1.01 * stress[i, j], abs=1e-8)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("n_atoms", [1, 2])
def test_atoms_without_neighbors(
    fused: Artefact, checkpoint: Checkpoint, kernel: KernelChoice, n_atoms: int
) -> None:
    """One atom or two, and no edges."""
    numbers = np.array([8, 6])[:n_atoms]
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 90.0, 0.0]])[:n_atoms]
    frame = Frame(numbers, positions)
    energy, forces = potential_of(fused, frame, kernel).energy_and_forces(positions)
    network = network_in(checkpoint, fused.manifest.dtype)
    eager = evaluate(network, build_graph(frame, [1, 6, 8], network.cutoff))
    assert energy == pytest.approx(float(eager.energies[0]), abs=1e-6)
    assert (forces == 0.0).all()


def test_independent_molecules(artefact: Artefact, ethanol_frames: Frames) -> None:
    one = ethanol_frames[0]
    alone = potential_of(artefact, one).energy_and_forces(one.positions)
    numbers = np.tile(one.atomic_numbers, 2)
    positions = np.concatenate([one.positions, one.positions + 0.5])
    molecules = np.repeat([0, 1], 9)
    potential = ArtefactPotential(artefact, numbers, periodic=False, molecules=molecules)
    energy, forces = potential.energy_and_forces(positions)
    assert energy == pytest.approx(2.0 * alone[0], abs=1e-9)
    np.testing.assert_allclose(forces, np.tile(alone[1], (2, 1)), atol=1e-9)


def test_the_uncertainty_is_the_eager_models(headed: tuple[Checkpoint, Artefact]) -> None:
    checkpoint, artefact = headed
    graph = build_graph(TRICLINIC, [1, 6, 8], checkpoint.network.cutoff)
    expected = estimate_uncertainty(checkpoint.network, graph).forces
    assert expected is not None
    found = potential_of(artefact, TRICLINIC).force_uncertainty(TRICLINIC.positions, TRICLINIC.cell)
    check_close(found, expected.numpy(), 1e-9)
    with pytest.raises(AssertionError):
        check_close(1.001 * found, expected.numpy(), 1e-9)


def test_the_heads_scale(headed: tuple[Checkpoint, Artefact]) -> None:
    potential = potential_of(headed[1], OPEN)
    energies = []
    for scale in (0.0, 0.5, 1.0):
        potential.head_scale = scale
        energies.append(potential.energy_and_forces(OPEN.positions)[0])
    assert energies[1] == pytest.approx(0.5 * (energies[0] + energies[2]), abs=1e-10)
    assert abs(energies[2] - energies[0]) > 1e-2


def test_the_list_is_kept_between_calls(artefact: Artefact) -> None:
    potential = potential_of(artefact, TRICLINIC)
    for shift in (0.0, 0.1, 0.2):
        potential.energy_and_forces(TRICLINIC.positions + shift, TRICLINIC.cell)
    assert potential.n_rebuilds == 2


@pytest.mark.parametrize("kernel", KERNELS)
def test_first_calls_give_the_bits_of_later_ones(fused: Artefact, kernel: KernelChoice) -> None:
    potential = potential_of(fused, OPEN, kernel)
    found = {
        (energy, forces.tobytes())
        for energy, forces in (potential.energy_and_forces(OPEN.positions) for _ in range(4))
    }
    assert len(found) == 1


def test_numbers_that_are_none_give_nan(artefact: Artefact) -> None:
    positions = OPEN.positions.copy()
    positions[0, 0] = np.inf
    energy, forces = potential_of(artefact, OPEN).energy_and_forces(positions)
    assert np.isnan(energy)
    assert np.isnan(forces).all()


def test_gradients_switched_off_outside_do_not_matter(artefact: Artefact) -> None:
    potential = potential_of(artefact, OPEN)
    expected = potential.energy_and_forces(OPEN.positions)[1]
    with torch.no_grad():
        found = potential.energy_and_forces(OPEN.positions)[1]
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_array_equal(found, expected)


def test_what_does_not_fit_is_refused(artefact: Artefact, tmp_path: Path) -> None:
    of_box, of_open = potential_of(artefact, TRICLINIC), potential_of(artefact, OPEN)
    x, cell = TRICLINIC.positions, TRICLINIC.cell
    for call, words in (
        (lambda: of_box.energy_and_forces(x[:5], cell), r"expected positions of \(27, 3\)"),
        (lambda: of_box.energy_and_forces(x), "expected a cell"),
        (lambda: of_box.energy_and_forces(x, np.zeros((3, 3))), r"with a volume.*\[\[0.0, 0.0"),
        (lambda: of_box.energy_and_forces(x, np.diag([np.inf, 9.0, 9.0])), "with a volume"),
        (lambda: of_box.energy_and_forces(x, np.diag([1e30, 9.0, 9.0])), "with a volume"),
        (lambda: of_open.energy_and_forces(x, cell), "expected no cell"),
        (lambda: of_open.energy_forces_stress(x, cell), "expected a periodic potential"),
        (lambda: of_box.force_uncertainty(x, cell), "sampled heads"),
        (lambda: ArtefactPotential(tmp_path, x[:, 0], periodic=False), "an exported model"),
    ):
        with pytest.raises(InputError, match=words):
            call()
