"""Loads openmm-torch in the order and with the quiet that it needs."""

import importlib
import logging
from types import ModuleType


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
        return importlib.import_module("openmmtorch")
    finally:
        root.removeFilter(_is_not_simtk_notice)


def _is_not_simtk_notice(record: logging.LogRecord) -> bool:
    return "importing 'simtk.openmm' is deprecated" not in record.getMessage()
