"""Keeps what C code prints off standard output, which a pipe may read."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def without_c_output() -> Iterator[None]:
    """Drop what C code prints: mdtraj's DCD reader prints what it found to standard output."""
    sys.stdout.flush()
    standard_output = os.dup(1)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        # C buffers what it printed; it must leave the buffer while it still goes nowhere.
        ctypes.CDLL(None).fflush(None)
        os.dup2(standard_output, 1)
        os.close(standard_output)
