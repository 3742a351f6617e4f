"""Each criterion fails when it should, and only then."""

import json
from collections.abc import Callable
from pathlib import Path

import mdtraj
import numpy as np
import pytest
from typer.testing import CliRunner

from fisher_mlip.analysis import AnalysisConfig, read_run
from fisher_mlip.analysis.criteria import CriterionResult, criteria_of
from fisher_mlip.cli.app import app
from fisher_mlip.errors import InputError
from openmm_plugin.watch import RadialReference

MakeRun = Callable[..., Path]
NAMES = ("intermolecular distance", "radial distribution error")


def found_in(folder: Path, **options: object) -> dict[str, CriterionResult]:
    config = AnalysisConfig().changed(**options)
    return {one.name: one for one in criteria_of(read_run(folder), config)}


def box(make_run: MakeRun, name: str, *, meeting: int | None = None) -> Path:
    """Eight waters 9 Å apart in a box; two of them 1 Å apart from a frame on."""
    folder = make_run(name, cell=7.2, rows=401, frames=40)
    (folder / "molecules.csv").unlink()
    if meeting is not None:
        path = folder / "trajectory.dcd"
        trajectory = mdtraj.load(str(path), top=str(folder / "topology.pdb"))
        shift = trajectory.xyz[0, 1] - trajectory.xyz[0, 3] + np.array([0.1, 0.0, 0.0])
        trajectory.xyz[meeting:, 3:6] += shift
        trajectory.save_dcd(str(path))
    return folder


def test_molecules_that_meet_are_found_with_their_time(make_run: MakeRun) -> None:
    apart = found_in(box(make_run, "apart"))[NAMES[0]]
    assert apart.first_ps == np.inf
    assert apart.worst == 1.6
    near = found_in(box(make_run, "near", meeting=12))[NAMES[0]]
    assert near.first_ps == pytest.approx(1.3)
    assert near.worst == pytest.approx(1.0, abs=0.1)
    assert near.where == "2 of 8 molecules"
    assert near.curve is not None
    assert near.curve.survival[-1] == pytest.approx(6 / 8)
    loose = found_in(box(make_run, "loose", meeting=12), intermolecular_distance=0.7)[NAMES[0]]
    assert loose.first_ps == np.inf
    assert NAMES[0] not in found_in(make_run("gas")), "molecules that do not see each other"


def test_a_distribution_far_from_its_reference_fails(make_run: MakeRun, tmp_path: Path) -> None:
    edges = np.linspace(0.0, 6.0, 61)
    pairs = ("H-H", "H-O", "O-O")
    empty = RadialReference(edges, {pair: np.zeros(60) for pair in pairs})
    dense = RadialReference(edges, {pair: np.full(60, 1.0) for pair in pairs})
    empty.write(tmp_path / "empty.npz")
    dense.write(tmp_path / "dense.npz")
    folder = box(make_run, "box")
    fits = found_in(folder, rdf_reference=tmp_path / "empty.npz")[NAMES[1]]
    assert (fits.worst, fits.first_ps) == (0.0, np.inf)
    fails = found_in(folder, rdf_reference=tmp_path / "dense.npz")[NAMES[1]]
    assert fails.worst == pytest.approx(6.0)
    assert fails.first_ps == pytest.approx(1.0)
    with pytest.raises(InputError, match="expected a periodic box"):
        found_in(make_run("gas"), rdf_reference=tmp_path / "empty.npz")


def test_heat_and_unequal_elements_fail(make_run: MakeRun) -> None:
    calm = found_in(make_run("calm", rows=401))
    assert all(one.first_ps == np.inf for one in calm.values())
    assert set(calm) == {
        "temperature over target",
        "equipartition by element",
        "change of total energy",
    }
    # The target is the temperature of the configuration: here the ledger leaves it.
    hot = make_run("hot", temperature=300.0)
    text = (hot / "ledger.csv").read_text().splitlines()
    place = text[0].split(",").index('"Temperature (K)"')
    for row in range(100, len(text)):
        cells = text[row].split(",")
        cells[place] = "3000.0"
        text[row] = ",".join(cells)
    (hot / "ledger.csv").write_text("\n".join(text) + "\n")
    heated = found_in(hot)["temperature over target"]
    assert heated.first_ps == pytest.approx(0.99)
    unequal = found_in(make_run("unequal", rows=401, hot={"H": 3.0}))["equipartition by element"]
    assert (unequal.where, unequal.first_ps) == ("H", pytest.approx(1.0))
    drifting = found_in(make_run("drifting", rows=401, slope=30.0))["change of total energy"]
    assert drifting.first_ps == pytest.approx(50.0 / 30.0, abs=0.03)


def test_analyze_reports_criteria_and_observables(make_run: MakeRun, tmp_path: Path) -> None:
    output = tmp_path / "report"
    arguments = ["analyze", str(box(make_run, "near", meeting=12)), "-o", str(output)]
    CliRunner().invoke(app, [*arguments, "--observables"], catch_exceptions=False)
    summary = json.loads((output / "summary.json").read_text())
    criteria = {one["name"]: one for one in summary["runs"][0]["criteria"]}
    assert criteria[NAMES[0]]["first_failure_ps"] == pytest.approx(1.3)
    assert criteria["temperature over target"]["first_failure_ps"] is None
    found = summary["observables"]["near"]
    assert found["geometry"]["bonds_A"]["H-O"]["mean"] == pytest.approx(0.96, abs=0.01)
    assert found["diffusion"]["box_length_A"] == pytest.approx(72.0)
    page = (output / "report.html").read_text()
    assert "First failure: intermolecular distance (bound 1.2 Å) / ps" in page
    assert "Self-diffusion, not corrected for the box" in page
