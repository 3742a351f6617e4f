"""Holes on scans of known potentials, and theta that fills them, against dense solves."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.constants import k as boltzmann_si

from fisher_mlip.data.frames import BoolArray, FloatArray, Frame, Frames
from fisher_mlip.fisher.heads import set_theta
from fisher_mlip.fisher.outside.holes import ScanEnergies, scan_energies
from fisher_mlip.fisher.outside.intervals import (
    DualSums,
    PrimalSums,
    Projections,
    solve_positive,
)
from fisher_mlip.fisher.outside.rising import RisingSolve, Slopes
from fisher_mlip.fisher.outside.scan import ENOUGH, Scan
from fisher_mlip.fisher.outside.scans import make_scans
from fisher_mlip.fisher.solve import LinearSystem, Spectrum, diagonalize, solve
from fisher_mlip.model import Checkpoint
from fisher_mlip.units import BOLTZMANN_EV_PER_K

D, N_POINTS, N_SCANS = 5, 7, 4
RISING = "fisher_mlip.fisher.outside.rising"
POINT = Frame(np.array([1]), np.zeros((1, 3)))


def scan(n_points: int = N_POINTS) -> Scan:
    path = 0.1 * np.arange(n_points)
    return Scan("stretch", "C0-H1", (POINT,) * n_points, path, np.full(n_points - 1, 0.02))


def along(seed: int = 0, n_scans: int = N_SCANS) -> ScanEnergies:
    """Scans that the base falls down or climbs, and features that could lift them."""
    rng = np.random.default_rng(seed)
    slopes = np.array([0.03, -0.05, 0.06, -0.02])[:, None] + 0.02 * rng.normal(size=(4, N_POINTS))
    base = np.cumsum(slopes, axis=1)[:n_scans].ravel()
    features = 0.1 * np.cumsum(rng.normal(size=(n_scans, N_POINTS, D)), axis=1)
    return ScanEnergies([scan() for _ in range(n_scans)], base, features.reshape(-1, D))


def data(seed: int = 1) -> tuple[LinearSystem, Spectrum]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(40, D)) * np.array([1.0, 0.1, 10.0, 1.0, 1.0])
    targets = 0.3 * rng.normal(size=40)
    system = LinearSystem(rows.T @ rows / 40, rows.T @ targets / 40)
    return system, diagonalize(system)


def dense(
    system: LinearSystem, ways: ScanEnergies, chosen: FloatArray, ridge: float, weight: float
) -> FloatArray:
    """Solve with the chosen intervals' missing slopes among the squared errors."""
    slopes = Slopes.of(ways)
    a, missing = slopes.rows(np.flatnonzero(chosen)), slopes.missing[chosen]
    strength = weight / len(slopes.missing)
    gram = system.gram + ridge * np.diag(np.diag(system.gram)) + strength * a.T @ a
    return np.asarray(np.linalg.solve(gram, system.moment - strength * a.T @ missing))


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize("weight", [0.01, 1.0, 30.0])
@pytest.mark.parametrize(("n_scans", "fewer"), [(1, True), (4, False)])
def test_equals_the_dense_solve_on_its_active_set(
    ridge: float, weight: float, n_scans: int, fewer: bool
) -> None:
    """With fewer active intervals than features, and with more."""
    (system, spectrum), ways = data(), along(n_scans=n_scans)
    found = RisingSolve(system, spectrum, ways).theta(ridge, weight)
    chosen = Slopes.of(ways).wanting(ways.totals(found))
    assert 0 < chosen.sum() < len(chosen)
    assert bool(chosen.sum() < D) is fewer
    np.testing.assert_allclose(found, dense(system, ways, chosen, ridge, weight), rtol=1e-8)
    for wrong in (dense(system, ways, ~chosen, ridge, weight), solve(system, spectrum, ridge)):
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(found, wrong, rtol=1e-8)


def test_weights_together_are_each_alone() -> None:
    (system, spectrum), ways = data(), along()
    weights = (0.01, 1.0, 30.0)
    together = RisingSolve(system, spectrum, ways).thetas(1e-3, weights)
    for weight, found in zip(weights, together, strict=True):
        alone = RisingSolve(system, spectrum, ways).theta(1e-3, weight)
        np.testing.assert_allclose(found, alone, rtol=1e-10)


@pytest.mark.parametrize("rank", [4, 40])
def test_sums_that_follow_the_set_are_those_of_the_set(rank: int) -> None:
    """A few intervals come and go, then most; with fewer eigenvectors than intervals, and more."""
    rng = np.random.default_rng(0)
    rows, missing = rng.normal(size=(30, rank)), rng.normal(size=30)
    values, moment = np.logspace(-3, 0, rank), rng.normal(size=rank)
    projected = Projections(lambda intervals: rows[intervals], np.eye(rank), len(rows))
    dual, primal = DualSums(projected, values, moment), PrimalSums(projected)
    for chosen in (np.arange(12), np.arange(1, 14), np.arange(15, 30), np.arange(30)):
        a, r = rows[chosen], missing[chosen]
        expected = np.linalg.solve(2.0 * a.T @ a + np.diag(values), moment - 2.0 * a.T @ r)
        found = primal.solve(chosen, r, 2.0, values, moment)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        np.testing.assert_allclose(dual.solve(chosen, r, 2.0), expected, rtol=1e-9)


def test_what_is_positive_but_for_rounding_is_solved() -> None:
    matrix, right = np.diag([1.0, -1e-20]), np.array([2.0, 0.0])
    np.testing.assert_allclose(solve_positive(matrix, right), [2.0, 0.0])


def test_no_weight_is_the_plain_solve() -> None:
    (system, spectrum), ways = data(), along()
    plain = solve(system, spectrum, 1e-3)
    found = RisingSolve(system, spectrum, ways).theta(1e-3, 1e-15)
    np.testing.assert_allclose(found, plain, rtol=1e-9)


def test_of_rounds_that_do_not_settle_the_one_with_the_highest_barriers_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (system, spectrum), ways = data(), along()
    barriers = iter([0.2, 0.9, 0.4, 0.1])
    seen: list[FloatArray] = []

    def barrier(of_scans: FloatArray) -> FloatArray:
        seen.append(of_scans)
        return np.array([next(barriers)])

    def turning(self: Slopes, energies: FloatArray) -> BoolArray:
        return np.arange(len(self.missing))[None] % 4 == len(seen)

    monkeypatch.setattr(f"{RISING}.effective_barriers", barrier)
    monkeypatch.setattr(Slopes, "wanting", turning)
    monkeypatch.setattr(f"{RISING}.ROUNDS", 4)
    found = RisingSolve(system, spectrum, ways).theta(1e-3, 1.0)
    assert len(seen) == 4
    second, last = (np.arange(len(Slopes.of(ways).missing)) % 4 == k for k in (1, 3))
    np.testing.assert_allclose(found, dense(system, ways, second, 1e-3, 1.0), rtol=1e-8)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(found, dense(system, ways, last, 1e-3, 1.0), rtol=1e-8)


def test_missing_slopes_are_raised() -> None:
    (system, spectrum), ways = data(), along()
    slopes = Slopes.of(ways)

    def missing(theta: FloatArray) -> float:
        chosen = np.flatnonzero(slopes.wanting(ways.totals(theta)))
        short = slopes.missing[chosen] + slopes.rows(chosen) @ theta
        return float(np.square(short).sum())

    thetas = [RisingSolve(system, spectrum, ways).theta(1e-3, w) for w in (1e-13, 0.01, 1.0, 30.0)]
    found = [missing(theta) for theta in thetas]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.7 * found[0]


def test_slopes_that_are_there_ask_for_nothing() -> None:
    system, spectrum = data()
    ways = along()
    rising = ScanEnergies(
        ways.scans, np.tile(0.3 * np.arange(N_POINTS), N_SCANS), 1e-6 * ways.features
    )
    found = RisingSolve(system, spectrum, rising).theta(1e-3, 30.0)
    np.testing.assert_allclose(found, solve(system, spectrum, 1e-3), rtol=1e-12)


def test_slopes_beyond_reach_ask_for_nothing() -> None:
    """The energy climbs over ENOUGH at once, and falls behind: nothing gets there."""
    system, spectrum = data()
    base = np.concatenate([[0.0, 1.2 * ENOUGH], -np.arange(N_POINTS - 2.0)])
    far = ScanEnergies([scan()], base, 1e-6 * along().features[:N_POINTS])
    found = RisingSolve(system, spectrum, far).theta(1e-3, 30.0)
    np.testing.assert_allclose(found, solve(system, spectrum, 1e-3), rtol=1e-12)


def test_holes_and_barriers_of_hand_made_energies() -> None:
    rising, holed = 0.1 * np.arange(N_POINTS), np.array([0.0, 0.1, 0.2, 0.4, 0.0, 0.1, 0.9])
    features = np.zeros((2 * N_POINTS, 1))
    features[N_POINTS:, 0] = rising - holed
    ways = ScanEnergies([scan(), scan()], np.concatenate([rising, holed]), features)
    np.testing.assert_allclose(ways.barriers(), [np.inf, 0.4])
    assert ways.holes() == ["stretch C0-H1"]
    assert ways.holes(np.ones(1)) == []
    np.testing.assert_allclose(ways.energies(np.ones(1))[1], rising)
    kt = 1000.0 * BOLTZMANN_EV_PER_K
    assert kt == pytest.approx(1000.0 * boltzmann_si / 1.602176634e-19)
    expected = -kt * np.log((np.exp(-0.4 / kt) + np.exp(-ENOUGH / kt)) / 2)
    assert ways.effective_barrier() == pytest.approx(expected)
    assert ways.effective_barrier(np.ones(1)) == pytest.approx(ENOUGH)


def test_a_model_of_morse_bonds_has_no_hole_until_one_is_dug(
    fitted_checkpoint: Checkpoint, ethanol_frames: Frames
) -> None:
    """Exact Morse energies along real scans, then the same with a well at 1.6 Å of O-H."""
    scans = [s for s in make_scans(ethanol_frames, n_starts=1) if s.name == "O2-H8"]
    lengths = [
        np.array([np.linalg.norm(p.positions[8] - p.positions[2]) for p in s.points]) for s in scans
    ]
    r = np.concatenate(lengths)
    morse = 1.3 * (1.0 - np.exp(-1.9 * (r - 0.96))) ** 2
    well = -3.0 * np.exp(-(((r - 1.6) / 0.15) ** 2))
    ways = ScanEnergies(scans, morse, well[:, None])
    assert {s.kind for s in scans} == {"stretch", "compress"}
    assert ways.holes() == []
    assert ways.holes(np.ones(1)) == ["stretch O2-H8"]
    system = LinearSystem(np.eye(1), np.ones(1))
    filled = RisingSolve(system, diagonalize(system), ways).theta(0.0, 100.0)
    assert ways.holes(filled) == []


def test_energies_along_scans_are_those_of_the_model(
    random_checkpoint: Callable[..., Checkpoint], ethanol_frames: Frames
) -> None:
    network = random_checkpoint("all-layers").network
    scans = make_scans(ethanol_frames, n_starts=1)[:3]
    before = scan_energies(network, scans, [1, 6, 8])
    theta = np.random.default_rng(0).normal(size=before.features.shape[1])
    set_theta(network, theta)
    after = scan_energies(network, scans, [1, 6, 8])
    np.testing.assert_allclose(np.concatenate(before.energies(theta)), after.base, atol=1e-9)
    assert [len(e) for e in before.energies(None)] == [len(s.points) for s in scans]
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(np.concatenate(before.energies(-theta)), after.base, atol=1e-3)
