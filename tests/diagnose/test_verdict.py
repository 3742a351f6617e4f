"""Synthetic ledgers of each cause: each gets its verdict, and none gets another's."""

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray
from fisher_mlip.diagnose import Diagnosis, diagnosis_of
from fisher_mlip.diagnose.segment import SegmentEnergies
from fisher_mlip.diagnose.variants import AS_IT_WAS, FLOAT64, HALF_STEP, LONGER_SKIN

NAMES = (AS_IT_WAS, HALF_STEP, FLOAT64, LONGER_SKIN)
TIME = np.linspace(0.0, 4.0, 401)


def oscillation(size: float, seed: int) -> FloatArray:
    """What velocity Verlet makes of bond vibrations: bounded, in meV/atom."""
    phases = np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, 6)
    waves = [np.sin(omega * TIME + p) for omega, p in zip(range(90, 210, 20), phases, strict=True)]
    return np.asarray(size * np.mean(waves, axis=0))


def diagnosed(
    series: dict[str, FloatArray],
    *,
    fall: float = 4.0,
    broken: dict[str, float] | None = None,
    first_seed: int = 0,
) -> Diagnosis:
    """Diagnose given trends on top of an integrator's fluctuation that falls at half the step."""
    segments = []
    for seed, name in enumerate(NAMES, start=first_seed):
        size = 1.0 / fall if name == HALF_STEP else 1.0
        total = oscillation(size, seed) + series.get(name, np.zeros_like(TIME))
        when = (broken or {}).get(name)
        segments.append(SegmentEnergies(name, TIME, total, 5.0, when, None))
    return diagnosis_of(segments)


def everywhere(trend: FloatArray, *, but: str = "") -> dict[str, FloatArray]:
    return {name: trend for name in NAMES if name != but}


def walk(seed: int) -> FloatArray:
    steps = np.random.default_rng(seed).normal(0.0, 0.4, len(TIME))
    return np.asarray(np.cumsum(steps))


def test_a_drift_that_half_the_step_cures_is_the_timestep() -> None:
    found = diagnosed(everywhere(3.0 * TIME, but=HALF_STEP))
    assert found.verdict.cause == "timestep"
    assert "vanishes with half the step" in found.verdict.sentence


def test_a_drift_that_float64_cures_is_rounding() -> None:
    assert diagnosed(everywhere(3.0 * TIME, but=FLOAT64)).verdict.cause == "rounding"


def test_a_random_walk_that_float64_cures_is_rounding() -> None:
    walks = {name: walk(seed) for seed, name in enumerate(NAMES) if name != FLOAT64}
    assert diagnosed(walks).verdict.cause == "rounding"


def test_a_drift_that_a_longer_skin_cures_is_the_list() -> None:
    found = diagnosed(everywhere(-2.0 * TIME, but=LONGER_SKIN))
    assert found.verdict.cause == "neighbor list"


def test_a_drift_that_nothing_cures_is_the_surface() -> None:
    found = diagnosed(everywhere(3.0 * TIME))
    assert found.verdict.cause == "surface"
    assert "not smooth" in found.verdict.sentence


def test_a_bond_that_breaks_at_any_step_is_a_hole() -> None:
    found = diagnosed({}, broken=dict.fromkeys(NAMES, 1.5))
    assert found.verdict.cause == "surface"
    assert "hole" in found.verdict.sentence
    assert "1.5 ps" in found.verdict.sentence
    kept = dict.fromkeys((AS_IT_WAS, FLOAT64, LONGER_SKIN), 1.5)
    assert diagnosed({}, broken=kept).verdict.cause == "timestep"


def test_a_bounded_fluctuation_is_the_integrators() -> None:
    found = diagnosed({})
    assert found.verdict.cause == "timestep"
    assert "falls by 4" in found.verdict.sentence
    assert "no drift" in found.verdict.sentence


def test_sound_runs_are_not_blamed_by_chance() -> None:
    causes = {diagnosed({}, first_seed=10 * k).verdict.cause for k in range(1, 9)}
    assert causes == {"timestep"}


def test_a_fluctuation_that_nothing_changes_is_the_surface() -> None:
    assert diagnosed({}, fall=1.0).verdict.cause == "surface"


@pytest.mark.parametrize("seed", range(3))
def test_what_cannot_be_told_is_not(seed: int) -> None:
    """Slow noise as large as the drift: the intervals overlap."""
    walks = {name: walk(10 * seed + k) for k, name in enumerate(NAMES)}
    found = diagnosed(walks, fall=1.0)
    assert found.verdict.cause == "too short"
    assert "cannot be told: too short" in found.verdict.sentence
