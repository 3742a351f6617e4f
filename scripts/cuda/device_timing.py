"""Milliseconds of calls on a device that is waited for, and what they took of its memory."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def milliseconds_of(call: Callable[[], Any]) -> float:
    """Return what a call takes, the device waited for on both sides."""
    synchronize()
    start = time.perf_counter()
    call()
    synchronize()
    return (time.perf_counter() - start) * 1e3


def calls(call: Callable[[], Any], repeats: int = 20) -> dict[str, Any]:
    """Return the milliseconds of a call, after five that are not counted."""
    first = [milliseconds_of(call) for _ in range(5)]
    return {
        **spread([milliseconds_of(call) for _ in range(repeats)]),
        "first_ms": round(first[0], 1),
    }


def synchronize() -> None:
    """Wait for the GPU, where torch has one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def spread(milliseconds: Any) -> dict[str, float]:
    """Return the median and the quartiles."""
    low, median, high = np.percentile(milliseconds, [25.0, 50.0, 75.0])
    return {"ms": round(median, 3), "lower_ms": round(low, 3), "upper_ms": round(high, 3)}


def middle(values: Any) -> float | None:
    """Return the median, None of nothing."""
    return round(float(np.median(values)), 3) if len(values) else None


def forget_peaks() -> None:
    """Begin to count the memory that is taken at most."""
    synchronize()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def memory() -> dict[str, float]:
    """Return what torch took of the GPU at most, and what all of the process has now, MiB."""
    if not torch.cuda.is_available():
        return {}
    free, total = torch.cuda.mem_get_info()
    found = (torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved(), total - free)
    names = ("peak_allocated_mib", "peak_reserved_mib", "device_used_mib")
    return {name: round(value / 2**20, 1) for name, value in zip(names, found, strict=True)}
