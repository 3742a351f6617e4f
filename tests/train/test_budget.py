"""The used part of the budget and the learning rate that follows."""

from collections.abc import Callable

import pytest

from fisher_mlip.config import TrainConfig
from fisher_mlip.train.budget import Budget, learning_rate


def test_the_nearer_limit_counts() -> None:
    assert Budget(100, 0.0).used(25.0, 1e9) == 0.25
    assert Budget(100, 60.0).used(25.0, 30.0) == 0.5
    assert Budget(100, 60.0).used(75.0, 30.0) == 0.75
    assert Budget(100, 60.0).used(75.0, 61.0) == 1.0


def test_seconds_go_on_from_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 12.5])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    budget = Budget(1, 0.0)
    budget.go_on_from(100.0)
    budget.start()
    assert budget.seconds == 102.5


def test_cosine_from_first_to_final(tiny_config: Callable[..., TrainConfig]) -> None:
    config = tiny_config(learning_rate=0.01, final_learning_rate=0.001)
    assert learning_rate(config, 0.0) == pytest.approx(0.01)
    assert learning_rate(config, 0.5) == pytest.approx(0.0055)
    assert learning_rate(config, 1.0) == pytest.approx(0.001)
    flat = tiny_config(learning_rate=0.01, final_learning_rate=0.01)
    assert learning_rate(flat, 0.3) == 0.01
