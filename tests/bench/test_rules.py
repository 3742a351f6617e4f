"""Every sentence, by figures that ask for it and by figures just below that must not."""

from typing import Any

import pytest

from fisher_mlip.bench.rules import NOTHING_TO_CHANGE, advise, round_up, sentences
from fisher_mlip.bench.table import lines_of

from .figures import ms, quiet, written

OLD = "the model was exported before there were fused operators: export it again"
NO_COMPILER = "expected a C++ compiler ($CXX, g++ or clang++), found none"
DEGREES = "the fused operators have degrees up to 3, the model 4"
LAMMPS = {"engine": "lammps", "kernel": "", "own": 90.0}


def calls(**values: float) -> dict[str, Any]:
    return {name: ms(value) for name, value in values.items()}


def wide(listing: float, wide_pairs: float) -> dict[str, Any]:
    return calls(pairs=1.0, listing=20.0, wide_pairs=wide_pairs, wide_listing=listing)


def by_number(**times: float) -> dict[int, Any]:
    return {int(name.removeprefix("n")): ms(value) for name, value in times.items()}


RULES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "export the model again: it is older",
        {"kernel": "torchscript", "reason": OLD},
        {"kernel": "torchscript", "reason": DEGREES},
    ),
    (
        "install g++",
        {"kernel": "torchscript", "reason": NO_COMPILER},
        {"kernel": "fused", "reason": NO_COMPILER},
    ),
    (
        "--dtype float32",
        {"dtype": "float64", "what_if": calls(direct=90.0, float32=86.0)},
        {"dtype": "float64", "what_if": calls(direct=90.0, float32=88.0)},
    ),
    (
        "--dtype float32",
        {"dtype": "float64", "what_if": calls(direct=90.0, float32=86.0)},
        {"dtype": "float32", "what_if": calls(direct=90.0, float32=86.0)},
    ),
    (
        "OMP_NUM_THREADS=2: 60 ms for the model's 95 on 1, 35 % less",
        {"what_if": {"threads": by_number(n1=95.0, n2=60.0)}},
        {"what_if": {"threads": by_number(n1=95.0, n2=93.0)}},
    ),
    (
        "OMP_NUM_THREADS=1: 60 ms",
        {"threads": 2, "what_if": {"threads": by_number(n1=60.0, n2=95.0)}},
        {"threads": 1, "what_if": {"threads": by_number(n1=60.0, n2=95.0)}},
    ),
    ("the machine was busy (load 4.1 on 4 cores)", {"load": 4.1}, {"load": 3.9}),
    (
        "OMP_WAIT_POLICY=passive",
        {"load": 9.0, "wait_policy": "active"},
        {"load": 9.0, "wait_policy": "passive"},
    ),
    ("fewer threads than 3", {"load": 9.0, "threads": 3}, {"load": 9.0, "threads": 1}),
    (
        "--skin 1 (now 0.5): the list is built every 2 steps",
        {"rebuilds": 0.5, "parts": {"list": 12.0}, "what_if": wide(30.0, 0.5)},
        {"rebuilds": 0.5, "parts": {"list": 12.0}, "what_if": wide(40.0, 1.5)},
    ),
    (
        "--skin 1",
        {"rebuilds": 0.5, "parts": {"list": 12.0}, "what_if": wide(30.0, 0.5)},
        {"rebuilds": 0.0, "parts": {"list": 12.0}, "what_if": wide(30.0, 0.5)},
    ),
    (
        "--report-interval 100 (now 10): ledger and molecules take 8.0 %",
        {
            "outputs": (
                written("ledger", "--report-interval", 10, 4.0),
                written("molecules", "--report-interval", 10, 4.0),
            )
        },
        {"outputs": (written("ledger", "--report-interval", 10, 4.9),)},
    ),
    (
        "--uncertainty-interval 1000 (now 50): uncertainty takes 15.0 %",
        {"outputs": (written("uncertainty", "--uncertainty-interval", 50, 15.0),)},
        {"outputs": (written("uncertainty", "--uncertainty-interval", 50, 4.0),)},
    ),
    (
        "--watch-interval 100",
        {"outputs": (written("watch", "--watch-interval", 10, 6.0),)},
        {"outputs": (written("watch", "--watch-interval", 10, 4.9),)},
    ),
    (
        "--barostat-interval 50 (now 25)",
        {"ensemble": "npt", "parts": {"barostat": 6.2}},
        {"ensemble": "npt", "parts": {"barostat": 5.8}},
    ),
    (
        "--molecules 40: 180 atoms are few: 40 % of a call",
        {"atoms": 180, "molecules": 20, "what_if": calls(direct=50.0, doubled=80.0)},
        {"atoms": 180, "molecules": 20, "what_if": calls(direct=50.0, doubled=95.0)},
    ),
    (
        "r-RESPA",
        {"atoms": 180, "system": "box.pdb", "what_if": calls(direct=50.0, doubled=80.0)},
        {"atoms": 600, "system": "box.pdb", "what_if": calls(direct=50.0, doubled=80.0)},
    ),
    (
        "--ranks 2: 70 ms a step for 100, 30 % less",
        LAMMPS | {"what_if": {"ranks": by_number(n2=70.0)}},
        LAMMPS | {"what_if": {"ranks": by_number(n2=98.0)}},
    ),
    (
        "a rank has 300 ghosts for its 90 atoms",
        LAMMPS | {"ranks": 2, "ghosts": 300.0},
        LAMMPS | {"ranks": 2, "ghosts": 179.0},
    ),
    (
        "a rank has 300 ghosts",
        LAMMPS | {"ranks": 2, "ghosts": 300.0},
        LAMMPS | {"ranks": 1, "ghosts": 300.0},
    ),
    ("--dtype float32", LAMMPS | {"dtype": "float64"}, LAMMPS),
    (
        "--skin 1 (now 0.5)",
        LAMMPS | {"parts": {"Neigh": 13.0}},
        LAMMPS | {"parts": {"Neigh": 10.0}},
    ),
    (
        "intervals 10 times as long",
        LAMMPS | {"parts": {"Output": 6.0}},
        LAMMPS | {"parts": {"Output": 4.9}},
    ),
    (
        "--uncertainty-interval 200 (now 10)",
        LAMMPS | {"uncertainty_interval": 10, "parts": {"Modify": 12.0}},
        LAMMPS | {"parts": {"Modify": 12.0}},
    ),
]


@pytest.mark.parametrize(("sentence", "asking", "quiet_twin"), RULES)
def test_a_rule_and_its_twin(
    sentence: str, asking: dict[str, Any], quiet_twin: dict[str, Any]
) -> None:
    found = [one for one in sentences(quiet(**asking)) if sentence in one]
    assert len(found) == 1, sentences(quiet(**asking))
    assert not [one for one in sentences(quiet(**quiet_twin)) if sentence in one]


@pytest.mark.parametrize("engine", ["openmm", "lammps"])
def test_nothing_to_change_is_said(engine: str) -> None:
    assert sentences(quiet(engine=engine)) == [NOTHING_TO_CHANGE]


def test_a_gain_that_quartiles_do_not_tell_apart_is_none() -> None:
    times = {1: ms(95.0), 2: ms(80.0, spread=0.3)}
    assert advise(quiet(what_if={"threads": times})) == []


def test_what_gains_most_comes_first_and_what_was_not_measured_last() -> None:
    outputs = (written("ledger", "--report-interval", 10, 12.0),)
    threads = {"threads": by_number(n1=95.0, n2=60.0)}
    found = advise(quiet(load=9.0, outputs=outputs, what_if=threads))
    assert [None if one.gain is None else round(one.gain) for one in found] == [35, 11, None]


def test_an_interval_brings_an_output_to_one_percent() -> None:
    """The advice, followed: what the output then takes of the step that is then shorter."""
    for share in (5.1, 12.0, 31.8, 80.0):
        one = written("ledger", "--report-interval", 10, share)
        (advice,) = advise(quiet(outputs=(one,)))
        interval = int(advice.sentence.split()[1])
        then = one.once.median / interval
        assert 0.1 <= 100.0 * then / (100.0 - share + then) <= 1.0


def test_intervals_that_must_be_multiples_are() -> None:
    one = written("checkpoint", "--checkpoint-interval", 100, 9.0)
    config = {"ensemble": "npt", "barostat_interval": 30, "checkpoint_interval": 90}
    (advice,) = advise(quiet(outputs=(one,), **config))
    assert int(advice.sentence.split()[1]) % 30 == 0


def test_rounding_up() -> None:
    assert [round_up(value) for value in (0.2, 1.0, 1.1, 7.0, 100.0, 101.0)] == [
        *(1, 1, 2, 10, 100, 200)
    ]
    assert round_up(101.0, 25) == 200
    assert round_up(11.0, 25) == 25


def test_the_parts_and_the_rest_are_the_whole() -> None:
    bench = quiet(parts={"list": 2.0, "model": 90.0, "engine": 11.0})
    assert bench.explained + bench.rest == pytest.approx(bench.total.median)
    assert bench.rest == pytest.approx(-3.0)
    assert any("take longer than the whole" in line for line in lines_of(bench))
    calm = quiet(parts={"list": 2.0, "model": 90.0})
    assert not any("take longer than the whole" in line for line in lines_of(calm))
