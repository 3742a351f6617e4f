"""The OpenMM examples run in smoke mode."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.export import Artefact

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("route", ["torchforce", "python"])
@pytest.mark.parametrize("name", ["openmm_gas", "openmm_liquid"])
def test_smoke(
    name: str, route: str, artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [name, str(artefact.path), "--smoke", "--route", route, "-o", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    rows = np.loadtxt(tmp_path / "ledger.csv", delimiter=",")
    assert len(rows) > 8
    assert np.isfinite(rows[1:]).all()
