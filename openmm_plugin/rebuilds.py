"""Counts what the copies of a script do inside an engine, through a file that they all map."""

import functools
import tempfile
from pathlib import Path

import numpy as np


class RebuildCounter:
    """A file of one int64, zero at first, that is there as long as the process.

    TorchForce copies its module for each context and lets nobody look at the copies.

    Attributes:
        path: of the file.
    """

    def __init__(self) -> None:
        with tempfile.NamedTemporaryFile(dir=_folder().name, delete=False) as file:
            file.write(np.zeros(1, dtype=np.int64).tobytes())
        self.path = Path(file.name)

    def read(self) -> int:
        """Return the count."""
        return int(np.fromfile(self.path, dtype=np.int64)[0])


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return this process's folder of counters; it goes when the process ends."""
    return tempfile.TemporaryDirectory(prefix="fisher_mlip_")
