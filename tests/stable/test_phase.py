"""Simulation phases: who is lost and when, what is kept, how the others go on."""

from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.export import Artefact, write_artefact
from fisher_mlip.model import load_checkpoint
from fisher_mlip.stable.config import StableConfig
from fisher_mlip.stable.phase import Phase, _Record, simulate_phase
from fisher_mlip.stable.problem import drawn_starts, read_starts
from fisher_mlip.stable.reference import read_reference
from fisher_mlip.stable.replicas import Replicas
from fisher_mlip.stable.stability import Criteria

from .conftest import MakeConfig
from .test_observables import boxes


@pytest.fixture(scope="module")
def potential(finetuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_artefact(tmp_path_factory.mktemp("potential"), load_checkpoint(finetuned))


def simulated(
    potential: Artefact, config: StableConfig, stretch: tuple[int, float] | None = None
) -> tuple[Phase, FloatArray]:
    """Run a phase; `stretch`: of a replica, by how much its hydroxyl is longer at the start."""
    reference = read_reference(Path(config.reference), [1, 6, 8], config.temperature)
    start = drawn_starts(read_starts(reference, config), config, 0)
    replicas = Replicas(potential, start, config, seed=1)
    criteria = Criteria(
        reference, replicas.masses, config.temperature, bond_deviation=config.bond_deviation
    )
    places = start.positions.copy()
    if stretch is not None:
        which, by = stretch
        bond = places[which, 8] - places[which, 2]
        places[which, 8] += by * bond / np.linalg.norm(bond)
    velocities = replicas.drawn_velocities(2)
    found = simulate_phase(replicas, criteria, reference, (places, velocities), config, seed=3)
    return found, places


def test_a_sound_potential_loses_none(potential: Artefact, short: MakeConfig) -> None:
    phase, start = simulated(potential, short(bond_deviation=2.0, stable_ps=0.006))
    assert not phase.is_lost.any()
    assert phase.steps == 12
    np.testing.assert_allclose(phase.lifetimes, 0.006)
    np.testing.assert_array_equal(phase.frames.series, np.repeat(np.arange(8), 6))
    assert (np.abs(phase.frames.positions[5::6] - start).max(axis=(1, 2)) > 0.01).all()


def assert_within_bounds(phase: Phase, config: StableConfig) -> None:
    reference = read_reference(Path(config.reference), [1, 6, 8], config.temperature)
    criteria = Criteria(reference, np.ones(9), config.temperature)
    assert criteria.bond_deviations(phase.frames.positions, None).max() <= config.bond_deviation


def test_a_lost_replica_goes_on_within_the_bounds(potential: Artefact, short: MakeConfig) -> None:
    config = short(stable_ps=0.03, bond_deviation=0.4)
    phase, _ = simulated(potential, config)
    assert phase.is_lost.sum() >= 2
    assert phase.steps == 60
    # All of them are seen to the end, from good states, the lost ones too.
    np.testing.assert_array_equal(np.bincount(phase.frames.series), np.full(8, 30))
    assert_within_bounds(phase, config)
    with pytest.raises(AssertionError):
        assert_within_bounds(phase, short(bond_deviation=0.15))
    assert len(set(phase.lifetimes)) > 1
    assert phase.median_ps < 0.03


def test_a_replica_is_put_where_it_was_before_the_way_to_its_loss() -> None:
    start = np.zeros((2, 1, 3))
    record = _Record(start)
    for look in range(1, 11):
        record.add(look, np.full((2, 1, 3), float(look)))
    assert record.rewound(0, 10, 4.0)[0, 0] == 6.0
    # Lost again two looks later: not from a frame that led to the first loss.
    record.add(12, np.full((2, 1, 3), 12.0))
    assert record.rewound(0, 12, 4.0)[0, 0] == 6.0
    for look in range(13, 19):
        record.add(look, np.full((2, 1, 3), float(look)))
    assert record.rewound(0, 18, 4.0)[0, 0] == 14.0
    # Lost before there was a frame so long ago.
    assert record.rewound(1, 3, 4.0)[0, 0] == 0.0


def test_starts_are_others_in_each_iteration(short: MakeConfig) -> None:
    config = short(replicas=5)
    reference = read_reference(Path(config.reference), [1, 6, 8], config.temperature)
    first, again, second = (
        drawn_starts(read_starts(reference, config), config, k).positions for k in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).max() > 0.01


@pytest.mark.parametrize("how", [0.0, 30.0])
def test_one_that_blows_up_does_not_take_the_others(
    potential: Artefact, short: MakeConfig, how: float
) -> None:
    """A hydrogen on its oxygen, or far away: lost in the first look, all else as it was."""
    config = short(stable_ps=0.004, bond_deviation=0.7, replicas=4)
    phase, start = simulated(potential, config, stretch=(1, how or -0.94))
    assert phase.is_lost.tolist() == [False, True, False, False]
    assert phase.lifetimes[1] == pytest.approx(0.001)
    assert np.isfinite(phase.frames.positions).all()
    last = phase.frames.positions[3::4]
    others = [0, 2, 3]
    assert np.abs(last[others] - start[others]).max() < 1.0


def test_boxes_are_replicas_with_their_own_cells(potential: Artefact, short: MakeConfig) -> None:
    of = boxes(2, 3, side=12.0)
    assert of.cells is not None
    of.cells[1, 0, 0] = 13.0
    replicas = Replicas(potential, of, short(), seed=1)
    criteria = Criteria(of, replicas.masses, 1e5, bond_deviation=2.0)
    start = of.positions, replicas.drawn_velocities(0)
    config = short(stable_ps=0.002)
    phase = simulate_phase(replicas, criteria, of, start, config, seed=0)
    assert phase.frames.cells is not None
    assert sorted({float(cell[0, 0]) for cell in phase.frames.cells}) == [12.0, 13.0]
    assert phase.frames.positions.shape == (6, 18, 3)


def test_bounds_by_replica() -> None:
    of = boxes(2, 4, side=20.0)
    masses = np.tile([12.0, 12.0, 16.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 2)
    criteria = Criteria(of, masses, 300.0, bond_deviation=0.3)
    still = np.zeros_like(of.positions)
    assert not criteria.are_lost(of.positions, still, of.cells).any()
    places, speeds = of.positions.copy(), still.copy()
    places[0, 8] += 0.8
    # The second molecule's first carbon onto the other's.
    places[1, 9:] += places[1, 0] - places[1, 9] + 0.6
    speeds[2] += 10.0
    places[3, 4, 1] = np.nan
    assert criteria.are_lost(places, still, of.cells).tolist() == [True, True, False, True]
    assert criteria.are_lost(of.positions, speeds, of.cells).tolist() == [False, False, True, False]
