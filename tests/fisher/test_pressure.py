"""Pressures of labelled frames, and what a finetune says of them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fisher_mlip.data.frames import Frame, Frames
from fisher_mlip.fisher import LabelWeights, Options, finetune
from fisher_mlip.fisher.pressure import PressureErrors, pressure_errors
from fisher_mlip.fisher.report import sentences
from fisher_mlip.model import Checkpoint
from fisher_mlip.units import BAR_PER_EV_PER_ANGSTROM3

MakeCheckpoint = Callable[..., Checkpoint]
LabelledBy = Callable[..., Frames]
OPTIONS = Options(look_outside=False, ridges=(1e-6,), kinds=("last-layer", "all-layers"))


@pytest.fixture
def boxed(ethanol_frames: Frames) -> Frames:
    """Ethanols in boxes that the cutoff reaches through."""
    cell = np.array([[6.0, 0.0, 0.0], [0.4, 5.5, 0.0], [0.0, 0.3, 6.2]])
    return Frames(
        tuple(
            Frame(frame.atomic_numbers, frame.positions, cell, np.ones(3, dtype=bool))
            for frame in ethanol_frames.subset(range(8))
        )
    )


def test_a_pressure_that_labels_lack_is_found_in_bar(
    random_checkpoint: MakeCheckpoint, labelled_by: LabelledBy, boxed: Frames
) -> None:
    model = random_checkpoint()
    own = labelled_by(model, boxed)
    found = pressure_errors(model.network, own, model.config)
    assert found is not None
    assert found.n_frames == 8
    assert found.rmse_bar < 1e-6
    lacking = 500.0 / BAR_PER_EV_PER_ANGSTROM3
    moved = Frames(
        tuple(
            replace(frame, stress=frame.stress + lacking * np.eye(3))
            for frame in own
            if frame.stress is not None
        )
    )
    told = pressure_errors(model.network, moved, model.config)
    assert told is not None
    assert told.mean_bar == pytest.approx(500.0, abs=1e-6)
    assert told.rmse_bar == pytest.approx(500.0, abs=1e-6)


def test_open_frames_have_no_pressure(
    random_checkpoint: MakeCheckpoint, labelled_by: LabelledBy, ethanol_frames: Frames
) -> None:
    model = random_checkpoint()
    own = labelled_by(model, ethanol_frames)
    assert pressure_errors(model.network, own, model.config) is None


def test_a_head_that_spoils_the_pressure_is_told_with_a_weight_that_mends_it(
    random_checkpoint: MakeCheckpoint, labelled_by: LabelledBy, boxed: Frames
) -> None:
    base, truth = random_checkpoint(), random_checkpoint(seed=5)
    labelled = labelled_by(truth, boxed)
    training, held_out = labelled.subset(range(5)), labelled.subset(range(5, 8))
    found = finetune(base, training, held_out, options=OPTIONS)
    assert found.held_out_pressures is not None
    brief = found.brief()["held_out_pressures"]
    direct = pressure_errors(found.checkpoint.network, held_out, base.config)
    assert direct is not None
    assert brief["shipped"]["rmse_bar"] == direct.rmse_bar
    assert any("held-out pressure error" in line for line in sentences(found))
    spoiled = PressureErrors(3, 4000.0, 4000.0)
    fine = PressureErrors(3, 100.0, 300.0)
    worse = sentences(replace(found, held_out_pressures=(fine, spoiled)))
    assert any("solve with --virial-weight" in line for line in worse)
    better = sentences(replace(found, held_out_pressures=(spoiled, fine)))
    assert not any("--virial-weight" in line for line in better)
    small = (replace(fine, rmse_bar=50.0), replace(fine, rmse_bar=150.0))
    noise = sentences(replace(found, held_out_pressures=small))
    assert not any("--virial-weight" in line for line in noise)


def test_virials_that_count_bring_the_pressure_nearer(
    random_checkpoint: MakeCheckpoint, labelled_by: LabelledBy, boxed: Frames
) -> None:
    base, truth = random_checkpoint(), random_checkpoint(seed=5)
    labelled = labelled_by(truth, boxed)
    training = labelled.subset(range(7))
    pressures = []
    for weight in (0.0, 1e4):
        options = replace(OPTIONS, label_weights=LabelWeights(0.0, weight), kinds=("last-layer",))
        found = finetune(base, training, training, options=options)
        assert found.held_out_pressures is not None
        pressures.append(found.held_out_pressures[1].rmse_bar)
    assert pressures[1] < 0.8 * pressures[0]
