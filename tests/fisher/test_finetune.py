"""The finetune as a whole: recovery through a real network, choice of ridge, energies, files."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import Frames
from fisher_mlip.fisher import Solution, finetune, save_solution
from fisher_mlip.fisher.offsets import predicted_energies, shift_correction
from fisher_mlip.model import Checkpoint, build_graph, evaluate, load_checkpoint


def labelled_by(checkpoint: Checkpoint, frames: Frames, offset: float = 0.0) -> Frames:
    """Return the frames with a model's own energies and forces: linear in its features."""
    labelled = []
    for frame in frames:
        graph = build_graph(frame, [1, 6, 8], 3.0)
        prediction = evaluate(checkpoint.network, graph)
        e0 = sum(frames.reference_energies[int(z)] for z in frame.atomic_numbers)
        energy = float(prediction.energies[0]) + e0 + offset
        labelled.append(frame.relabelled(energy=energy, forces=prediction.forces.numpy()))
    return Frames(tuple(labelled), frames.reference_energies, "self-labelled")


@pytest.fixture(scope="module")
def disturbed(fitted_checkpoint: Checkpoint) -> Checkpoint:
    """The fitted model with a wrong readout."""
    network = copy.deepcopy(fitted_checkpoint.network)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(network.readout.shape, generator=generator, dtype=torch.float64)
    network.readout.data += 0.1 * noise
    return Checkpoint(network, fitted_checkpoint.config)


@pytest.fixture(scope="module")
def recovered(
    fitted_checkpoint: Checkpoint, disturbed: Checkpoint, ethanol_frames: Frames
) -> Solution:
    truth = labelled_by(fitted_checkpoint, ethanol_frames)
    return finetune(disturbed, truth.subset(range(9)), truth.subset(range(9, 12)))


def test_a_disturbed_readout_is_found_again(
    recovered: Solution, fitted_checkpoint: Checkpoint, disturbed: Checkpoint
) -> None:
    true = fitted_checkpoint.network.readout.detach().numpy()
    found = recovered.checkpoint.network.readout.detach().numpy()
    before = disturbed.network.readout.detach().numpy()
    assert np.abs(before - true).max() > 0.05
    assert recovered.spectrum.rank == len(true)
    np.testing.assert_allclose(found, true, atol=1e-5)
    assert recovered.held_out_rmse < 1e-6 < recovered.base_held_out_rmse


def test_base_checkpoint_is_left_alone(recovered: Solution, disturbed: Checkpoint) -> None:
    assert recovered.checkpoint.network is not disturbed.network
    before = disturbed.config.provenance["fisher"]
    after = recovered.checkpoint.config.provenance["fisher"]
    assert after["training_hash"] == recovered.training_hash != before["training_hash"]


def test_energies_are_refitted_though_forces_cannot_see_them(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    truth = labelled_by(fitted_checkpoint, ethanol_frames, offset=2.5)
    solution = finetune(fitted_checkpoint, truth.subset(range(9)), truth.subset(range(9, 12)))
    before = predicted_energies(fitted_checkpoint.network, truth, [1, 6, 8])
    after = predicted_energies(solution.checkpoint.network, truth, [1, 6, 8])
    np.testing.assert_allclose(after - before, 2.5, atol=1e-6)


def test_a_readout_already_best_is_kept_and_said(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    # One frame to solve from, with forces of pure noise: nothing to learn for the others.
    rng = np.random.default_rng(0)
    noise = ethanol_frames[0].relabelled(forces=rng.normal(size=(9, 3)) * 50)
    truth = labelled_by(fitted_checkpoint, ethanol_frames.subset(range(1, 6)))
    training = Frames((noise,), ethanol_frames.reference_energies, "noise")
    solution = finetune(fitted_checkpoint, training, truth)
    assert solution.ridge is None
    assert solution.summary()["kept_pretrained_readout"] is True
    assert torch.equal(solution.checkpoint.network.readout, fitted_checkpoint.network.readout)


def test_frames_without_energies_still_solve(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    bare = Frames(
        tuple(frame.relabelled(energy=None) for frame in ethanol_frames),
        ethanol_frames.reference_energies,
        "no energies",
    )
    solution = finetune(fitted_checkpoint, bare.subset(range(9)), bare.subset(range(9, 12)))
    fisher = solution.checkpoint.config.provenance["fisher"]
    assert fisher["energy_shifts_refitted"] is False


def test_saved_solution_loads_as_a_checkpoint(
    tmp_path: Path, recovered: Solution, ethanol_frames: Frames
) -> None:
    paths = save_solution(tmp_path, recovered)
    assert {path.name for path in paths} == {
        "config.yaml",
        "gram.safetensors",
        "metrics.json",
        "weights.safetensors",
    }
    graph = build_graph(ethanol_frames[0], [1, 6, 8], 3.0)
    again = load_checkpoint(tmp_path)
    assert torch.equal(
        evaluate(again.network, graph).forces,
        evaluate(recovered.checkpoint.network, graph).forces,
    )


def test_features_in_float64_leave_a_float32_model_float32(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    config = fitted_checkpoint.config.model_copy(update={"dtype": "float32"})
    single = Checkpoint(copy.deepcopy(fitted_checkpoint.network).float(), config)
    parts = ethanol_frames.subset(range(9)), ethanol_frames.subset(range(9, 12))
    plain, careful = finetune(single, *parts), finetune(single, *parts, dtype="float64")
    assert careful.checkpoint.network.readout.dtype == torch.float32
    difference = np.abs(plain.equations.gram - careful.equations.gram).max()
    assert 0 < difference < 1e-4 * np.abs(careful.equations.gram).max()


def test_energy_shifts_fit_energies_per_atom(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    # One frame of eight molecules, off by 0.9 eV per molecule, among three single ones that fit:
    # per atom its weight is a fourth, not nearly all.
    truth = labelled_by(fitted_checkpoint, ethanol_frames.subset(range(3)))
    one = truth[0]
    apart = [one.positions + np.array([50.0 * k, 0.0, 0.0]) for k in range(8)]
    assert one.energy is not None
    box = type(one)(
        np.tile(one.atomic_numbers, 8),
        np.concatenate(apart),
        energy=8 * (one.energy + 0.9),
    )
    mixed = Frames((*truth.frames, box), truth.reference_energies, "mixed")
    shift = shift_correction(fitted_checkpoint.network, mixed, [1, 6, 8], mixed.reference_energies)
    assert shift is not None
    per_molecule = float(shift @ np.bincount([1, 1, 2, 0, 0, 0, 0, 0, 0]))
    assert per_molecule == pytest.approx(0.9 / 4, abs=1e-6)
