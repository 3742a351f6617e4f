"""How many threads a step of message passing is worth: found by timing it."""

import os
import time
from collections.abc import Callable

import torch

REPEATS = 3


def use_fastest_threads(step: Callable[[], object]) -> int:
    """Time `step` on one thread and on all of torch's, keep the faster for it, and return it.

    Small batches are a chain of small operations; handing each to several threads costs more than
    they save (twice the time on two threads that sleep while they wait, docs/README.md). Whoever
    sets OMP_NUM_THREADS has decided.
    """
    given = torch.get_num_threads()
    if given == 1 or "OMP_NUM_THREADS" in os.environ:
        return given
    seconds = {}
    for n_threads in (1, given):
        torch.set_num_threads(n_threads)
        step()
        seconds[n_threads] = min(_timed(step) for _ in range(REPEATS))
    fastest = min(seconds, key=lambda n: seconds[n])
    torch.set_num_threads(fastest)
    return fastest


def _timed(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
