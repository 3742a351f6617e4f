"""Parts of a check, each in a process of its own with a limit in time, that print lines of JSON."""

import json
import multiprocessing
import os
import signal
import sys
import time
from argparse import Namespace as Options
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Part:
    """What a process of its own does: `call(options, *arguments)`, for at most `limit` seconds."""

    name: str
    call: Callable[..., None]
    limit: float
    arguments: tuple[Any, ...] = ()


def run_group(parts: list[Part], options: Options, deadline: float) -> list[str]:
    """Run parts side by side, say of each that failed why, and return the names of those.

    Args:
        parts: side by side, on equal shares of the cores.
        options: `work` is a folder, `start` how Python starts a process.
        deadline: of `time.monotonic`, s.
    """
    if time.monotonic() > deadline:
        for part in parts:
            say({"part": part.name}, {"failure": "not begun: the time was up"})
        return [part.name for part in parts]
    method: Any = multiprocessing.get_context(options.start)
    threads = max(1, len(os.sched_getaffinity(0)) // max(1, len(parts)))
    start = time.monotonic()
    running = []
    try:
        for part in parts:
            print(f"{part.name} ...", file=sys.stderr, flush=True)
            log = options.work / f"{part.name}.log"
            process = method.Process(target=enter, args=(part, options, log, threads))
            process.start()
            running.append((part, process, log))
        return [
            part.name
            for part, process, log in running
            if not ended_well(part, process, log, min(start + part.limit, deadline), start)
        ]
    finally:
        for _, process, _ in running:
            end(process)


def ended_well(part: Part, process: Any, log: Path, until: float, start: float) -> bool:
    """Wait for a part, and say why it failed if it did."""
    process.join(max(0.0, until - time.monotonic()))
    is_late = process.is_alive()
    end(process)
    seconds = round(time.monotonic() - start, 1)
    print(f"{part.name}: {seconds} s", file=sys.stderr, flush=True)
    if not is_late and process.exitcode == 0:
        return True
    why = "took too long" if is_late else f"ended with {process.exitcode}"
    tail = log.read_text(errors="replace")[-600:] if log.is_file() else ""
    say({"part": part.name}, {"failure": why, "stderr": tail, "seconds": seconds})
    return False


def end(process: Any) -> None:
    """End a part and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.is_alive():
        process.kill()
    process.join()


def enter(part: Part, options: Options, log: Path, threads: int) -> None:
    """Run a part in a process of its own, its standard error in a file."""
    os.setsid()
    with log.open("wb") as file:
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(threads)
    part.call(options, *part.arguments)


def say(what: dict[str, Any], found: dict[str, Any]) -> None:
    """Print a line of JSON."""
    print(json.dumps(what | found), flush=True)


def guarded(call: Callable[[], dict[str, Any]], **what: Any) -> None:
    """Print what a call finds, or its failure, so that the next one goes on."""
    try:
        say(what, call())
    except Exception as failure:
        say(what, {"failure": f"{type(failure).__name__}: {failure}"[:600]})
