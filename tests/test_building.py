"""The compiler that is asked for by name."""

import pytest

from fisher_mlip.building import BuildError, find_compiler


def test_a_command_with_an_open_quote_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", 'g++ "')
    with pytest.raises(
        BuildError, match=r"expected a command in CXX, found 'g\+\+ \"': No closing"
    ):
        find_compiler()
