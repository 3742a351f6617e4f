"""The machine that a run is timed on."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from fisher_mlip.allocator import keep_large_blocks

PASSIVE = "passive"


@dataclass(frozen=True)
class Machine:
    """What decides how fast a machine is at the moment.

    Attributes:
        cpu: its model.
        cores: that this process may use.
        load: average of the last minute, before anything was measured.
        threads: of torch in the run; of LAMMPS those of each rank.
        wait_policy: of OpenMP's threads: `passive`, or `active` (they spin).
        keeps_large_blocks: whether glibc's allocator was told to (`fisher_mlip.allocator`).
    """

    cpu: str
    cores: int
    load: float
    threads: int
    wait_policy: str
    keeps_large_blocks: bool


def present_load() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def describe_machine(load: float, threads: int | None = None) -> Machine:
    """Return the machine; `load` is that of before, `threads` torch's own where None."""
    return Machine(
        cpu=_cpu_model(),
        cores=available_cores(),
        load=load,
        threads=torch.get_num_threads() if threads is None else threads,
        wait_policy=os.environ.get("OMP_WAIT_POLICY", "active").lower(),
        keeps_large_blocks=keep_large_blocks(),
    )


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or platform.machine()
