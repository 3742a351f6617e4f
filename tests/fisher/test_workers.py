"""Results come in order on any number of threads, and an error stops the rest."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from fisher_mlip.fisher.workers import MOST_WORKERS, map_in_order

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 3])
def n_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def late_if_even(number: int) -> int:
    time.sleep(0.01 * (number % 2 == 0))
    return number * number


def test_results_come_in_the_order_of_the_items(n_threads: int) -> None:
    assert list(map_in_order(late_if_even, range(20), CPU)) == [n * n for n in range(20)]
    assert torch.get_num_threads() == n_threads


def test_items_are_taken_only_a_few_ahead(n_threads: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    results = map_in_order(late_if_even, items(), CPU)
    for _ in range(5):
        next(results)
    assert len(taken) <= 5 + n_threads + 1


def test_several_threads_work_with_one_of_torchs_each(n_threads: int) -> None:
    def seen(_: int) -> tuple[str, int]:
        time.sleep(0.02)
        return threading.current_thread().name, torch.get_num_threads()

    found = list(map_in_order(seen, range(9), CPU))
    assert len({name for name, _ in found}) == n_threads
    assert {threads for _, threads in found} == {1}


def test_no_more_threads_than_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fisher_mlip.fisher.workers.torch.get_num_threads", lambda: 99)

    def seen(_: int) -> str:
        time.sleep(0.02)
        return threading.current_thread().name

    assert len(set(map_in_order(seen, range(40), CPU))) == MOST_WORKERS


def test_an_error_reaches_the_caller_and_the_rest_is_left(n_threads: int) -> None:
    done: list[int] = []

    def fails_at_three(number: int) -> None:
        if number == 3:
            raise ValueError("three")
        done.append(number)

    with pytest.raises(ValueError, match="three"):
        list(map_in_order(fails_at_three, range(100), CPU))
    assert max(done) <= 3 + n_threads + 1


def test_a_gpu_does_one_at_a_time() -> None:
    found = list(
        map_in_order(lambda _: threading.current_thread().name, range(3), torch.device("cuda"))
    )
    assert set(found) == {threading.current_thread().name}
