"""Option values that several commands share."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import typer

from fisher_mlip.errors import InputError


class Device(StrEnum):
    """Where tensors live."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"

    def resolve(self) -> str:
        """Return `cpu` or `cuda`; `auto` takes a GPU where torch sees one.

        Raises:
            InputError: `cuda` was asked for and torch sees none.
        """
        import torch

        available = torch.cuda.is_available()
        if self is Device.CUDA and not available:
            raise InputError("expected a CUDA device for --device cuda, torch sees none")
        return "cuda" if available and self is not Device.CPU else "cpu"


class Precision(StrEnum):
    """Floating-point type of a network."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


class EnergyUnit(StrEnum):
    """Units of energy in an MD17 archive."""

    KCAL_PER_MOL = "kcal/mol"
    KJ_PER_MOL = "kJ/mol"
    EV = "eV"
    HARTREE = "Hartree"


def refuse_given(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Refuse options that were given, not left at their defaults, and would change nothing.

    Args:
        context: of the command.
        names: of its parameters.
        why: what follows the option's name in the sentence.

    Raises:
        InputError: one of them was given.
    """
    written = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            raise InputError(f"{written[name]} {why}")


NpzUnit = Annotated[
    EnergyUnit, typer.Option("--npz-unit", help="Unit of energy in an .npz; its lengths are Å.")
]
