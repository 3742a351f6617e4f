"""Errors against a calculation by hand."""

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import Frames
from fisher_mlip.errors import InputError
from fisher_mlip.model import Checkpoint, build_graph, evaluate
from fisher_mlip.train import errors
from fisher_mlip.train.batches import label_frames
from fisher_mlip.train.metrics import ErrorSums


def by_hand(checkpoint: Checkpoint, frames: Frames) -> dict[str, float]:
    """Return the errors frame by frame, with numpy."""
    e0 = checkpoint.config.reference_energies
    energy, per_atom, force = [], [], []
    for frame in frames:
        graph = build_graph(frame, checkpoint.config.elements, checkpoint.config.model.cutoff)
        prediction = evaluate(checkpoint.network, graph)
        assert frame.energy is not None and frame.forces is not None
        references = sum(e0[int(z)] for z in frame.atomic_numbers)
        difference = float(prediction.energies[0]) + references - frame.energy
        energy.append(difference)
        per_atom.append(difference / frame.n_atoms)
        force.append((prediction.forces.numpy() - frame.forces).ravel())
    values = {
        "energy": np.array(energy),
        "energy_per_atom": np.array(per_atom),
        "force": np.concatenate(force),
    }
    return {f"{k}_mae": float(np.abs(v).mean()) for k, v in values.items()} | {
        f"{k}_rmse": float(np.sqrt(np.square(v).mean())) for k, v in values.items()
    }


def check_errors(checkpoint: Checkpoint, measured_on: Frames, expected_on: Frames) -> None:
    """Check `errors` on one set of frames against the hand calculation on another."""
    found = errors(checkpoint.network, measured_on, checkpoint.config, atoms_per_batch=20)
    for name, value in by_hand(checkpoint, expected_on).items():
        # abs: energies carry E0s of -4,200 eV, so their digits end at 1e-12 eV.
        assert getattr(found, name) == pytest.approx(value, rel=1e-9, abs=1e-10), name


def test_errors_agree_with_a_calculation_by_hand(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    check_errors(fitted_checkpoint, ethanol_frames, ethanol_frames)


def test_forces_off_by_a_percent_are_seen(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    wrong = tuple(f.relabelled(forces=1.01 * np.asarray(f.forces)) for f in ethanol_frames)
    with pytest.raises(AssertionError, match="force"):
        check_errors(
            fitted_checkpoint, Frames(wrong, ethanol_frames.reference_energies), ethanol_frames
        )


def test_metrics_are_named_with_units(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    found = errors(fitted_checkpoint.network, ethanol_frames, fitted_checkpoint.config)
    metrics = found.as_metrics("test_")
    assert metrics["test_force_mae_meV_A"] == pytest.approx(1000 * found.force_mae)
    assert metrics["test_energy_mae_meV"] == pytest.approx(1000 * found.energy_mae)
    assert metrics["test_n_frames"] == 12
    assert metrics["test_n_force_components"] == 12 * 27


def test_a_nan_prediction_does_not_go_unseen(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    batch = label_frames(ethanol_frames, fitted_checkpoint.config)
    prediction = evaluate(fitted_checkpoint.network, batch.graph)
    prediction.forces[0, 0] = torch.nan
    sums = ErrorSums()
    sums.add(prediction, batch)
    assert np.isnan(sums.errors().force_mae)
    assert np.isfinite(sums.errors().energy_mae)


def test_missing_energies_leave_forces_counted(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    bare = Frames(tuple(f.relabelled(energy=None) for f in ethanol_frames))
    found = errors(fitted_checkpoint.network, bare, fitted_checkpoint.config)
    assert found.n_frames == 0 and np.isnan(found.energy_mae)
    assert found.n_force_components == 12 * 27 and np.isfinite(found.force_mae)


def test_no_frames_are_refused(fitted_checkpoint: Checkpoint) -> None:
    with pytest.raises(InputError, match="found none"):
        errors(fitted_checkpoint.network, Frames(()), fitted_checkpoint.config)
