"""The OpenMM examples run in smoke mode."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.export import Artefact
from fisher_mlip.openmm_ml.factory import FisherPotentialFactory

EXAMPLES = Path(__file__).parents[2] / "examples"


NAMES = ["openmm_gas", "openmm_liquid", "openmm_liquid_npt", "openmm_ml_mixed"]
ROUTES = ["torchforce", "python"]
RUNS = [*((name, route) for name in NAMES[:2] for route in ROUTES), *((n, "") for n in NAMES[2:])]


@pytest.mark.parametrize(("name", "route"), RUNS)
def test_smoke(
    name: str, route: str, artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "openmm_ml_mixed":
        openmmml = pytest.importorskip("openmmml", reason="openmm-ml is not installed")
        # The entry point may be older than the tree in a checkout.
        openmmml.MLPotential.registerImplFactory("fisher-mlip", FisherPotentialFactory())
    options = ["--route", route] if route else []
    arguments = [name, str(artefact.path), "--smoke", *options, "-o", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    rows = np.loadtxt(tmp_path / "ledger.csv", delimiter=",")
    assert len(rows) > 8
    assert np.isfinite(rows[1:]).all()
