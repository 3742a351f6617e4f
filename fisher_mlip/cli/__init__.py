"""The `fisher-mlip` command."""

import os

# Read by OpenMP when torch is imported. Threads that spin while they wait gain a few percent on an
# idle machine and lose a factor of ten on a busy one (measured: docs/README.md).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from fisher_mlip.allocator import keep_large_blocks
from fisher_mlip.cli.app import app, main

keep_large_blocks()

__all__ = ["app", "main"]
