"""The operators, without which there is nothing to test here."""

import pytest

from fisher_mlip.building import BuildError, find_compiler
from fisher_mlip.fused.loading import why_no_operators


@pytest.fixture(scope="module", autouse=True)
def operators() -> None:
    """Compile them if need be; skip where nothing can."""
    try:
        find_compiler()
    except BuildError as failure:
        pytest.skip(str(failure))
    assert why_no_operators(build=True) == ""
