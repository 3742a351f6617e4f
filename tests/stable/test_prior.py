"""A finetune as a function of theta: its energies are linear in the features, its errors exact."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fisher_mlip.config import HeadConfig, HeadKind
from fisher_mlip.data import Frames
from fisher_mlip.data.frames import FloatArray
from fisher_mlip.errors import InputError
from fisher_mlip.fisher import Options, finetune, save_solution
from fisher_mlip.model import (
    Checkpoint,
    build_graph,
    evaluate,
    load_checkpoint,
    new_network,
    save_checkpoint,
)
from fisher_mlip.stable.configurations import configurations_of
from fisher_mlip.stable.features import feature_sums, near_molecules
from fisher_mlip.stable.prior import FisherPrior, load_prior
from fisher_mlip.train.metrics import errors

from .test_observables import boxes

ELEMENTS = [1, 6, 8]


def energies(checkpoint: Checkpoint, frames: Frames) -> FloatArray:
    graphs = [build_graph(frame, ELEMENTS, checkpoint.network.cutoff) for frame in frames]
    return np.array([float(evaluate(checkpoint.network, graph).energies[0]) for graph in graphs])


def assert_linear(prior: FisherPrior, z: FloatArray, frames: Frames, scale: float = 1.0) -> None:
    """U(z) - U(0) = delta . D, up to a constant of the composition."""
    of = configurations_of(frames)
    features = feature_sums(prior.checkpoint.network, ELEMENTS, of)[:, 0]
    expected = scale * features @ (prior.factor @ z)
    found = energies(prior.at(z), frames) - energies(prior.at(0.0 * z), frames)
    np.testing.assert_allclose(
        found - found.mean(), expected - expected.mean(), atol=1e-3 * np.ptp(expected)
    )


@pytest.mark.parametrize("kind", ["last-layer", "per-element", "all-layers", "products"])
def test_the_energy_is_linear_in_the_features(
    kind: HeadKind, ethanol_frames: Frames, finetuned: Path, tmp_path: Path
) -> None:
    finetuned_config = load_checkpoint(finetuned).config
    changed = {"head": HeadConfig(), "sampled_heads": 0, "provenance": {}}
    config = finetuned_config.model_copy(update=changed)
    torch.manual_seed(1)
    base = Checkpoint(new_network(config).eval(), config)
    base.network.message_scale.fill_(0.35)
    options = Options(kinds=(kind,), look_outside=False, budget=200, sampled_heads=2)
    parts = ethanol_frames.subset(range(9)), ethanol_frames.subset(range(9, 12))
    solution = finetune(base, *parts, options=options)
    assert solution.chosen is not None
    save_solution(tmp_path, solution)
    prior = load_prior(tmp_path)
    z = 0.3 * np.random.default_rng(0).normal(size=prior.factor.shape[1])
    assert_linear(prior, z, ethanol_frames)
    with pytest.raises(AssertionError):
        assert_linear(prior, z, ethanol_frames, scale=1.01)
    told = solution.shipped.held_out_force_rmse
    assert prior.held_out_rmse(0.0 * z) == pytest.approx(told, rel=1e-6)
    # The judges all count about 1 here, so that the sums are those of plain errors.
    moved = prior.at(z)
    direct = errors(moved.network, parts[1], moved.config).force_rmse
    assert prior.held_out_rmse(z) == pytest.approx(direct, rel=0.05)
    assert abs(direct - told) > 1e-4


def test_a_unit_of_z_is_the_finetunes_own_measure(finetuned: Path) -> None:
    """(theta - theta_0)' T (theta - theta_0) / n in units of the held-out error, by direction."""
    prior = load_prior(finetuned)
    square = prior.held_out_rmse(np.zeros(prior.factor.shape[1])) ** 2
    changes = [prior.force_change(e) ** 2 for e in np.eye(prior.factor.shape[1])]
    assert sum(changes) == pytest.approx(square, rel=1e-6)


def test_energies_stay_at_the_frames(finetuned: Path, ethanol_frames: Frames) -> None:
    prior = load_prior(finetuned)
    z = np.random.default_rng(0).normal(size=prior.factor.shape[1])
    training = ethanol_frames.subset(range(9))
    before, after = energies(prior.at(0.0 * z), training), energies(prior.at(z), training)
    assert np.abs(after - before).max() > 1e-4
    assert abs(float((after - before).mean())) < 1e-6


def test_neighborhoods_of_molecules_far_apart_are_the_molecules(finetuned: Path) -> None:
    of = boxes(2, 3, side=30.0)
    network = load_checkpoint(finetuned).network
    alone = feature_sums(network, ELEMENTS, of, neighborhood=0.0)
    whole = feature_sums(network, ELEMENTS, of)
    np.testing.assert_allclose(alone.sum(axis=1), whole[:, 0], rtol=1e-9, atol=1e-9)
    assert np.abs(alone[:, 0] - alone[:, 1]).max() > 1e-3


def test_a_neighborhood_has_the_atoms_within_reach() -> None:
    of = boxes(4, 2, side=9.0)
    assert of.cells is not None
    found = near_molecules(of, 1, 2.5)
    off = of.positions[1][:, None] - of.positions[1][None]
    off -= np.round(off @ np.linalg.inv(of.cells[1])) @ of.cells[1]
    near = np.linalg.norm(off, axis=2) <= 2.5
    for k in range(4):
        own = of.molecules == k
        np.testing.assert_array_equal(found[k], near[own].any(axis=0) | own)
    assert found.sum() > 36


def test_a_model_without_normal_equations_is_refused(finetuned: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path, load_checkpoint(finetuned))
    with pytest.raises(InputError, match="expected normal equations"):
        load_prior(tmp_path)
