"""Page faults of large blocks made and freed over and over, in fresh processes."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from fisher_mlip.allocator import keep_large_blocks
if sys.argv[1] == "kept":
    assert keep_large_blocks()
import numpy as np
def touch():
    np.ones(8_000_000)  # 64 MB
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    command = [sys.executable, "-c", PROGRAM, mode]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_kept_blocks_are_not_mapped_again() -> None:
    # By huge pages or small ones, a mapping anew faults for every page of every block.
    assert page_faults("kept") <= 20 < page_faults("as it is")
