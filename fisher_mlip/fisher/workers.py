"""Batches on several threads, each with one of torch's: small operations do not share well."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

# Each holds some 0.3 GB of tangents.
MOST_WORKERS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], device: torch.device
) -> Iterator[Result]:
    """Yield function(item) in the order of items, a few ahead on torch's number of threads.

    Results do not depend on that number. One at a time on a GPU, whose memory they would share.
    """
    n_workers = min(torch.get_num_threads(), MOST_WORKERS)
    if n_workers == 1 or device.type != "cpu":
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(n_workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > n_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
