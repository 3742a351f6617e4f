"""Brings the fused operators into this process."""

from functools import cache

import torch

from fisher_mlip.building import BuildError
from fisher_mlip.config import ModelConfig
from fisher_mlip.fused.build import build_operators, built_operators
from fisher_mlip.fused.couplings import LARGEST_DEGREE


def why_not_served(model: ModelConfig, *, build: bool) -> str:
    """Return in words why the operators cannot evaluate or train a network here, "" if they can.

    Args:
        model: of the network.
        build: as in `why_no_operators`.
    """
    if model.max_degree > LARGEST_DEGREE:
        return (
            f"the fused operators have degrees up to {LARGEST_DEGREE}, the model {model.max_degree}"
        )
    return why_no_operators(build=build)


@cache
def why_no_operators(*, build: bool) -> str:
    """Load the operators, and return "" or in words why they cannot be loaded.

    Args:
        build: whether they may be compiled first, which takes a minute or two.
    """
    try:
        library = build_operators() if build else built_operators()
    except BuildError as failure:
        return str(failure)
    if library is None:
        return "the fused operators are not compiled yet"
    try:
        torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError as failure:
        return f"the fused operators cannot be loaded: {failure}"
    return ""
