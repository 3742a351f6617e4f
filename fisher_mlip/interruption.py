"""Ctrl-C and termination as a wish that a long job grants between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Interruption:
    """Whether the user wants the job to stop."""

    wanted: bool = False


@contextmanager
def noted_interruption() -> Iterator[Interruption]:
    """Note the first SIGINT or SIGTERM inside the block; a second one takes its usual effect."""
    interruption = Interruption()
    previous: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for kind, handler in previous.items():
            signal.signal(kind, handler)

    def note(number: int, frame: FrameType | None) -> None:
        interruption.wanted = True
        restore()

    if threading.current_thread() is threading.main_thread():
        previous.update({kind: signal.signal(kind, note) for kind in SIGNALS})
    try:
        yield interruption
    finally:
        restore()
