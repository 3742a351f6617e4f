"""Loads openmm-torch in the order and with the quiet that it needs."""

import importlib
import importlib.util
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any


def has_openmmtorch() -> bool:
    """Tell whether openmm-torch is installed."""
    return importlib.util.find_spec("openmmtorch") is not None


def load_openmmtorch() -> ModuleType:
    """Return the module `openmmtorch`, with vesin's TorchScript classes registered before it.

    A scripted module that holds a vesin neighbor list cannot be copied into a force before
    `vesin_torch` is imported. The wheel of openmm-torch imports `simtk.openmm`, which logs a
    deprecation that its user can do nothing about: that one line is dropped, no other.

    Raises:
        ImportError: openmm-torch is not installed.
    """
    importlib.import_module("vesin_torch")
    root = logging.getLogger()
    root.addFilter(_is_not_simtk_notice)
    try:
        module = importlib.import_module("openmmtorch")
    finally:
        root.removeFilter(_is_not_simtk_notice)
    _load_late_plugins()
    return module


@cache
def _load_late_plugins() -> None:
    """Load the plugins of TorchForce that `import openmm` could not: they need torch's libraries.

    Where torch is not beside OpenMM, they are found only once torch is in the process.
    """
    openmm = importlib.import_module("openmm")
    for failure in openmm.Platform.getPluginLoadFailures():
        late = re.search(r"(\S+libOpenMMTorch\w*\.\w+):", failure)
        if late is not None:
            with suppress(openmm.OpenMMException):
                openmm.Platform.loadPluginLibrary(late[1])


def python_torch_force() -> Callable[..., Any] | None:
    """Return openmm-torch's PythonTorchForce, which hands over tensors; None where it has none.

    It is in openmm-torch's newer sources; the wheels of 1.10 are without it.
    """
    if not has_openmmtorch():
        return None
    found: Callable[..., Any] | None = getattr(load_openmmtorch(), "PythonTorchForce", None)
    return found


def _is_not_simtk_notice(record: logging.LogRecord) -> bool:
    return "importing 'simtk.openmm' is deprecated" not in record.getMessage()
