"""The faster number of threads is kept, unless the user has chosen one."""

import time
from collections.abc import Iterator

import pytest
import torch

from fisher_mlip.threads import use_fastest_threads


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("fast", [1, 2])
def test_the_faster_is_kept(fast: int) -> None:
    def step() -> None:
        time.sleep(0.001 if torch.get_num_threads() == fast else 0.02)

    assert use_fastest_threads(step) == fast
    assert torch.get_num_threads() == fast


def test_what_the_user_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert use_fastest_threads(pytest.fail) == 2
