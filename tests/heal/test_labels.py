"""Labels: how many are made, and which of them are kept."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes

from fisher_mlip.config import HealConfig
from fisher_mlip.data import Frame
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions
from fisher_mlip.heal.candidates import Moment
from fisher_mlip.heal.labels import Labels, make_labels


class Counting(Calculator):
    """Forces as large as the first coordinate, failing where that is negative; it counts."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def calculate(
        self, atoms: Any = None, properties: Any = (), system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        first = float(self.atoms.positions[0, 0])
        if first < 0.0:
            raise RuntimeError("no convergence")
        forces = np.zeros((9, 3))
        forces[0, 0] = first
        self.results = {"energy": 7.0, "forces": forces}


def _labelled(*given: Any, error: float = 0.0) -> Labels:
    return make_labels(*given, lambda _: error)


def _moments(*firsts: float) -> list[Moment]:
    moments = []
    for step, first in zip(range(9, 0, -1), firsts, strict=False):
        positions = ethanol_positions()
        positions[0, 0] = first
        moments.append(Moment(step, Frame(ATOMIC_NUMBERS, positions)))
    return moments


@pytest.mark.parametrize(("most", "made", "kept"), [(10, 4, 2), (3, 3, 1), (1, 1, 0), (0, 0, 0)])
def test_the_budget_counts_every_call(most: int, made: int, kept: int) -> None:
    """Two labels are wanted; one call fails and one force is too large."""
    engine = Counting()
    heal = HealConfig(calculator="x", frames=2, largest_force=50.0)
    found = _labelled(_moments(-1.0, 1.0, 60.0, 2.0, 3.0), engine, heal, most)
    assert (found.made, engine.calls, len(found.frames)) == (made, made, kept)
    assert found.steps == [8, 6][:kept]
    reasons = ["no convergence", "a force beyond 50 eV/Å"]
    assert found.reasons == reasons[: max(0, min(made, 1)) + (made >= 3)]


def test_forces_alone_go_into_the_sums() -> None:
    found = _labelled(_moments(1.0), Counting(), HealConfig(calculator="x"), 5)
    assert found.frames[0].energy == 7.0
    assert found.bare[0].energy is None
    assert found.bare[0].forces is not None
    assert found.bare.reference_energies == {}


@pytest.mark.parametrize(
    ("n_labels", "judging"), [(1, []), (2, []), (3, [2]), (6, [2]), (8, [2, 6])]
)
def test_every_fourth_label_judges(n_labels: int, judging: list[int]) -> None:
    made = _labelled(
        _moments(*range(1, n_labels + 1)), Counting(), HealConfig(calculator="x", frames=99), 99
    )
    assert made.judging == judging
    assert sorted([*made.judging, *made.solving]) == [*range(n_labels)]


def test_no_call_is_made_for_what_comes_after_a_torn_frame() -> None:
    engine = Counting()
    heal = HealConfig(calculator="x")
    found = _labelled([*reversed(_moments(1.0, -1.0, 2.0))], engine, heal, 5)
    assert (engine.calls, len(found.frames), found.steps) == (2, 1, [7])
    assert found.reasons == ["no convergence", "later than one that is torn"]


def test_one_molecule_is_torn_and_another_is_not() -> None:
    """A force that is too large tears as a failure does."""
    engine = Counting()
    early, middle, late = reversed(_moments(1.0, 60.0, 2.0))
    other = replace(_moments(3.0)[0], molecule=1)
    found = _labelled([middle, late, other, early], engine, HealConfig(calculator="x"), 9)
    assert (engine.calls, found.steps) == (3, [other.step, early.step])
    assert found.reasons == ["a force beyond 20 eV/Å", "later than one that is torn"]


@pytest.mark.parametrize(("error", "kept"), [(1.9, 2), (2.1, 0), (float("nan"), 0)])
def test_where_the_model_is_lost_labels_are_left_out(error: float, kept: int) -> None:
    found = _labelled(_moments(1.0, 2.0), Counting(), HealConfig(calculator="x"), 9, error=error)
    assert (found.made, len(found.frames)) == (2, kept)
    assert found.reasons == ["an error beyond 2 eV/Å"] * (2 - kept)
