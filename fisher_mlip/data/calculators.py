"""ASE calculators by name."""

import importlib
from collections.abc import Sequence
from typing import Any

import yaml
from ase.calculators.abc import GetPropertiesMixin

from fisher_mlip.errors import InputError

OPLS_NAME = "opls-ethanol"
TBLITE_NAME = "tblite"


def build_calculator(name: str, options: dict[str, Any]) -> Any:
    """Return an ASE calculator.

    Args:
        name: `opls-ethanol` (the embedded reference), `tblite` (GFN2-xTB unless `method` is
            given), or `module:Class` of anything importable.
        options: keyword arguments of its class.

    Raises:
        InputError: it is not installed, not found, or does not take the options.
    """
    if name == OPLS_NAME:
        from fisher_mlip.data.opls_calculator import OplsEthanolCalculator

        return _create(OplsEthanolCalculator, name, options)
    if name == TBLITE_NAME:
        return _create(_tblite(), name, {"method": "GFN2-xTB", "verbosity": 0} | options)
    return _create(_imported(name), name, options)


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Turn `key=value` into keyword arguments; values are read as YAML (numbers, true, lists).

    Raises:
        InputError: there is no `=`, or the value is no YAML.
    """
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"expected an option key=value, found '{pair}'")
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"expected a YAML value in option '{pair}'") from None
    return options


def _create(kind: Any, name: str, options: dict[str, Any]) -> Any:
    try:
        return kind(**options)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"calculator '{name}' does not take {options}: {error}") from None


def _tblite() -> Any:
    try:
        from tblite.ase import TBLite
    except ImportError:
        raise InputError(
            "calculator 'tblite' is not installed: pip install -e '.[tblite]' in the checkout"
        ) from None
    return TBLite


def _imported(name: str) -> Any:
    module_name, colon, attribute = name.partition(":")
    if not colon or not attribute:
        raise InputError(
            f"expected a calculator {OPLS_NAME}, {TBLITE_NAME}, or module:Class, found '{name}'"
        )
    try:
        kind = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"calculator '{name}' cannot be imported: {error}") from None
    # A run folder may name it: nothing else is called in its name.
    if not (isinstance(kind, type) and issubclass(kind, GetPropertiesMixin)):
        raise InputError(f"expected a class of ASE calculators, found '{name}'")
    return kind
