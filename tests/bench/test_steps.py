"""From timed steps to the step of a long run; LAMMPS's breakdown."""

from pathlib import Path

import pytest

from fisher_mlip.bench.breakdown import read_breakdown
from fisher_mlip.bench.steps import Steps
from fisher_mlip.bench.timing import NOTHING, alternated
from fisher_mlip.errors import InputError

from .figures import ms
from .figures import written as output_of

LOG = """
Loop time of 9 on 1 procs for 10 steps with 7 atoms
Loop time of 2 on 2 procs for 50 steps with 180 atoms

MPI task timing breakdown:
Section |  min time  |  avg time  |  max time  |%varavg| %total
---------------------------------------------------------------
Pair    | 1.1        | 1.2        | 1.3        |   0.0 | 60.00
Neigh   | 0.2        | 0.2        | 0.2        |   0.0 | 10.00
Comm    | 0.3        | 0.4        | 0.5        |   0.0 | 20.00
Output  | 0.05       | 0.05       | 0.05       |   0.0 |  2.50
Modify  | 0.1        | 0.1        | 0.1        |   0.0 |  5.00
Other   |            | 0.05       |            |       |  2.50

Nlocal:             90 ave          91 max          89 min
Nghost:          512.5 ave         520 max         505 min
Neighbor list builds = 4
"""


def steps_of(seconds: list[float], *, every: int, slow: float) -> Steps:
    """Steps of which each so many-th writes the ledger and takes so much longer."""
    kinds = [frozenset({"ledger"} if n % every == 0 else ()) for n in range(1, len(seconds) + 1)]
    times = [s + (slow if kind else 0.0) for s, kind in zip(seconds, kinds, strict=True)]
    return Steps(tuple(times), tuple((kind, 0) for kind in kinds))


def test_a_step_holds_its_outputs_at_their_frequency() -> None:
    ledger = {"ledger": output_of("ledger", "--report-interval", 10, 0.0)}
    total = steps_of([1e-3] * 40, every=10, slow=5e-3).of_a_long_run(ledger, NOTHING)
    assert total.median == pytest.approx(1.5)


def test_one_step_that_was_held_up_changes_nothing() -> None:
    ledger = {"ledger": output_of("ledger", "--report-interval", 10, 0.0)}
    seconds = [1e-3] * 40
    seconds[3] = 7.0
    total = steps_of(seconds, every=10, slow=5e-3).of_a_long_run(ledger, NOTHING)
    assert total.median == pytest.approx(1.5)


def test_outputs_that_fell_on_no_step_are_added() -> None:
    """A trajectory's frame every 100 steps, of 40 timed ones; and no more than its due."""
    outputs = {
        "ledger": output_of("ledger", "--report-interval", 10, 0.5),
        "trajectory": output_of("trajectory", "--trajectory-interval", 100, 0.3),
    }
    total = steps_of([1e-3] * 40, every=10, slow=5e-3).of_a_long_run(outputs, NOTHING)
    assert total.median == pytest.approx(1.5 + 0.3)
    # 45 steps hold 4 rows where a long run holds 4.5.
    total = steps_of([1e-3] * 45, every=10, slow=5e-3).of_a_long_run(outputs, NOTHING)
    assert total.median == pytest.approx(1.5 + 0.3)


def test_a_list_that_a_call_between_built_is_counted_to_the_run() -> None:
    kinds = ((frozenset[str](), 0),) * 4
    steps = Steps((1e-3,) * 4, kinds, built_between=1)
    assert steps.rebuilds == 0.25
    assert steps.of_a_long_run({}, ms(2.0)).median == pytest.approx(1.5)


def test_what_is_measured_by_turns_is_compared_within_a_round() -> None:
    """A machine that slows down by a factor of ten on the way changes no ratio."""
    slow = iter([1.0] * 8 + [10.0] * 8)
    now = [1.0]

    def first() -> float:
        now[0] = next(slow, 10.0)
        return now[0]

    one, other = alternated([first, lambda: 2.0 * now[0]])
    assert other.median == pytest.approx(2.0 * one.median)
    assert other.upper == pytest.approx(other.lower)


def test_list_builds_are_counted() -> None:
    steps = Steps((1.0,) * 3, ((frozenset(), 0), (frozenset(), 2), (frozenset(), 0)))
    assert steps.rebuilds == pytest.approx(2 / 3)


def test_the_breakdown_of_the_last_run(tmp_path: Path) -> None:
    log = tmp_path / "log.lammps"
    log.write_text(LOG)
    found = read_breakdown(log)
    assert (found.ranks, found.steps, found.atoms, found.builds) == (2, 50, 180, 4)
    assert (found.own, found.ghosts) == (90.0, 512.5)
    assert found.sections["Comm"].least == 0.3
    assert found.sections["Comm"].most == 0.5
    assert sum(section.mean for section in found.sections.values()) == pytest.approx(found.seconds)


@pytest.mark.parametrize("text", [None, "", "LAMMPS (22 Jul 2025)\nERROR: no\n"])
def test_a_log_without_a_breakdown_is_refused(text: str | None, tmp_path: Path) -> None:
    log = tmp_path / "log.lammps"
    if text is not None:
        log.write_text(text)
    with pytest.raises(InputError, match="expected LAMMPS's breakdown"):
        read_breakdown(log)
