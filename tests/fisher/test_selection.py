"""What choosing promises, and that rows are true to their thetas."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fisher_mlip.config import HeadConfig
from fisher_mlip.data.frames import Frames
from fisher_mlip.fisher.nesting import nested_head
from fisher_mlip.fisher.normal_equations import accumulate
from fisher_mlip.fisher.outside.holes import scan_energies
from fisher_mlip.fisher.outside.scans import make_scans
from fisher_mlip.fisher.selection import Candidate, Row, candidate, choose, reasons_against
from fisher_mlip.fisher.solve import LabelWeights, solve
from fisher_mlip.model import Checkpoint

ELEMENTS = [1, 6, 8]


def row(held_out: float, barrier: float, degrees: float = 5.0) -> Row:
    nothing = np.zeros(1)
    return Row(
        HeadConfig(), 1e-3, 0.0, nothing, nothing, 0.1, held_out, 0.1, 0.1, degrees, [], barrier
    )


BASE = row(0.10, 0.5)


def test_the_base_stays_where_nothing_beats_it() -> None:
    for allow in (False, True):
        assert (
            choose([row(0.10, 0.9), row(0.2, 3.0)], BASE, n_components=1000, allow_holes=allow)
            is None
        )
        assert choose([], BASE, n_components=1000, allow_holes=allow) is None


def test_a_lower_barrier_is_not_shipped_unless_allowed() -> None:
    better, safer = row(0.01, 0.49), row(0.09, 0.5)
    assert choose([better], BASE, n_components=1000, allow_holes=False) is None
    assert choose([better, safer], BASE, n_components=1000, allow_holes=False) is safer
    assert choose([better, safer], BASE, n_components=1000, allow_holes=True) is better


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_chosen_keeps_the_promise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [row(*rng.uniform([0.05, 0.2], [0.12, 0.9])) for _ in range(30)]
    chosen = choose(rows, BASE, n_components=1000, allow_holes=False)
    allowed = [r for r in rows if r.held_out_force_rmse < 0.10 and r.barrier >= 0.5]
    assert (chosen is None) == (not allowed)
    if chosen is not None:
        assert chosen in allowed
        best = min(r.held_out_force_rmse for r in allowed)
        assert chosen.held_out_force_rmse <= 1.2 * best
        assert chosen.held_out_force_rmse <= best + (0.10 - best) / 3.0


def test_of_barriers_alike_the_least_error_decides_then_the_fewest_degrees_of_freedom() -> None:
    best, lower, safe = row(0.050, 0.60), row(0.057, 1.44, 2.0), row(0.058, 1.48, 9.0)
    alike, plainer, worse = row(0.0581, 1.5, 8.0), row(0.0582, 1.46, 7.0), row(0.060, 1.5, 1.0)
    assert (
        choose(
            [best, lower, safe, alike, plainer, worse], BASE, n_components=1000, allow_holes=False
        )
        is plainer
    )
    assert choose([best, safe, alike, worse], BASE, n_components=1000, allow_holes=False) is alike
    assert choose([best, worse], BASE, n_components=1000, allow_holes=False) is worse


def test_more_freedom_than_the_data_bear_counts_only_where_there_is_nothing_else() -> None:
    free, firm = row(0.05, 1.5, 300.0), row(0.06, 1.2, 200.0)
    for n_components, expected in ((1199, firm), (1200, free)):
        assert choose([free, firm], BASE, n_components=n_components, allow_holes=False) is expected
    assert choose([free], BASE, n_components=10, allow_holes=False) is free
    unknown = [row(r.held_out_force_rmse, math.nan, 300.0) for r in (free, firm)]
    base = row(0.1, math.nan)
    assert choose(unknown, base, n_components=10, allow_holes=False) is unknown[0]


@pytest.mark.parametrize(
    ("passed", "told"),
    [
        (row(0.05, 1.5, 300.0), "300 effective degrees of freedom for 1000 force components"),
        (row(0.05, 0.4), "0 holes, barrier 0.40 eV"),
        (row(0.05, 1.1), "0 holes, barrier 1.10 eV"),
        (row(0.0598, 1.4, 200.0), "one with fewer effective degrees of freedom is as good"),
    ],
)
def test_what_is_passed_over_is_told_why(passed: Row, told: str) -> None:
    chosen = row(0.06, 1.4, 100.0)
    assert choose([passed, chosen], BASE, n_components=1000, allow_holes=False) is chosen
    (reason,) = reasons_against(passed, chosen, BASE, n_components=1000)
    assert told in reason


def test_a_barrier_a_little_lower_is_told_where_nothing_else_is_the_reason() -> None:
    """Alike to the chosen one, not to the highest."""
    passed, chosen, highest = row(0.05, 1.42, 5.0), row(0.055, 1.46, 5.0), row(0.059, 1.5, 5.0)
    rows = [passed, chosen, highest]
    assert choose(rows, BASE, n_components=1000, allow_holes=False) is chosen
    assert reasons_against(passed, chosen, BASE, n_components=1000) == ["0 holes, barrier 1.42 eV"]


def test_without_scans_freedom_is_no_reason() -> None:
    """The rule that `choose` does not apply then is not told either."""
    free, chosen, base = (
        row(e, math.nan, d) for e, d in ((0.0598, 300.0), (0.06, 200.0), (0.1, 0.0))
    )
    assert choose([free, chosen], base, n_components=1000, allow_holes=False) is chosen
    (reason,) = reasons_against(free, chosen, base, n_components=1000)
    assert reason == "one with fewer effective degrees of freedom is as good"


def test_a_barrier_is_not_bought_with_more_than_a_third_of_the_gain() -> None:
    best, costly = row(0.05, 0.6), row(0.067, 1.5)
    assert choose([best, costly], BASE, n_components=1000, allow_holes=False) is best


def test_without_scans_the_error_alone_decides() -> None:
    base, rows = row(0.1, math.nan), [row(0.09, math.nan), row(0.05, math.nan)]
    assert choose(rows, base, n_components=1000, allow_holes=False) is rows[1]


@pytest.fixture(scope="module")
def found(
    random_checkpoint: Callable[..., Checkpoint],
    labelled_by: Callable[..., Frames],
    ethanol_frames: Frames,
) -> Candidate:
    """Half of the frames to solve from, half to judge, with scans."""
    network = random_checkpoint("per-element").network
    truth = labelled_by(random_checkpoint(seed=5), ethanol_frames)
    parts = [accumulate(network, truth.subset(part), ELEMENTS) for part in (range(6), range(6, 12))]
    along = scan_energies(network, make_scans(ethanol_frames, n_starts=1), ELEMENTS)
    return candidate(
        nested_head(HeadConfig(), network.head, parts[0].n_features),
        *parts,
        along,
        weights=LabelWeights(),
        ridges=(1e-4, 1e-6),
        scan_weights=(0.0, 1.0),
    )


def test_a_candidate_has_a_row_for_each_ridge_and_weight(found: Candidate) -> None:
    tried = [(r.ridge, r.scan_weight) for r in found.rows]
    assert tried == [(1e-6, 0.0), (1e-4, 0.0), (1e-6, 1.0), (1e-4, 1.0)]
    plain = [r for r in found.rows if r.scan_weight == 0.0]
    for each in plain:
        np.testing.assert_array_equal(each.theta, solve(found.system, found.spectrum, each.ridge))
    assert plain[0].training_force_rmse < plain[1].training_force_rmse
    assert plain[0].effective_degrees_of_freedom > plain[1].effective_degrees_of_freedom
    assert found.rows[2].theta.tolist() != plain[0].theta.tolist()
    assert all(len(r.offsets) == 3 and np.isfinite(r.barrier) for r in found.rows)


def test_numbers_are_ready_for_a_file(found: Candidate) -> None:
    numbers = found.rows[0].numbers()
    assert numbers["features"] == 8
    assert numbers["held_out_force_rmse_meV_A"] == 1e3 * found.rows[0].held_out_force_rmse
    unknown = replace(found.rows[0], barrier=math.nan, held_out_energy_rmse=math.nan).numbers()
    assert unknown["barrier_eV"] is None
    assert unknown["held_out_energy_rmse_meV_atom"] is None
