"""Watches of whole runs that need more than a molecule: g(r), uncertainty, rewinds where there is
noise."""

import json
from pathlib import Path

import mdtraj
import numpy as np
import pytest

from fisher_mlip.config import WatchConfig
from fisher_mlip.data import read_frames
from fisher_mlip.data.ethanol import ethanol_topology
from fisher_mlip.export import Artefact
from fisher_mlip.model import Checkpoint
from fisher_mlip.simulate import run_simulation
from fisher_mlip.units import KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM
from openmm_plugin.watch import radial_reference, read_alarms

from .conftest import MakeConfig, read_rows, short_config
from .test_watch import _assert_same

BOX = {"ensemble": "nvt", "steps": 6, "report_interval": 2, "trajectory_interval": 2}
ONLY = {"bond_deviation": 0.0, "intermolecular_distance": 0.0, "temperature_ratio": 0.0}


@pytest.mark.parametrize(("shift", "is_told"), [(0.0, False), (2.0, True)])
def test_g_of_r_that_is_not_the_references(
    shift: float, is_told: bool, short: MakeConfig, ethanol_box: Path, tmp_path: Path
) -> None:
    """The reference is that of the start; sabotaged, its neighbors stand farther out."""
    frame = read_frames(ethanol_box)[0]
    topology = ethanol_topology(8, frame.cell)
    found = radial_reference(
        topology, frame.positions[None], frame.cell[None], reach=5.0, bin_width=0.5
    )
    moved = {name: np.roll(g, round(shift / 0.5)) for name, g in found.functions.items()}
    reference = tmp_path / "rdf.npz"
    np.savez(reference, edges=found.edges, **moved)
    watch = WatchConfig(interval=2, rdf_reference=str(reference), window_ps=0.002, rdf_interval=2)
    config = short(system=str(ethanol_box), watch=watch.changed(**ONLY, rdf_error=2.0), **BOX)
    run_simulation(config, tmp_path / "run")
    criteria = [alarm.criterion for alarm in read_alarms(tmp_path / "run" / "alarms.csv")]
    assert ("radial distribution error" in criteria) == is_told
    header = (tmp_path / "run" / "watch.csv").read_text().splitlines()[0]
    assert "radial distribution error" in header.lower()


def test_the_heads_own_uncertainty_stops_a_run(
    headed: tuple[Checkpoint, Artefact], tmp_path: Path
) -> None:
    """Its column is that of the potential at the frame, and its bound is one of the watch's."""
    artefact = headed[1]
    watch = WatchConfig(interval=2, **ONLY)
    values = {"steps": 8, "uncertainty_interval": 2, "trajectory_interval": 2}
    free = tmp_path / "free"
    run_simulation(short_config(artefact, watch=watch, **values), free)
    rows = read_rows(free / "uncertainty.csv")
    assert rows[:, 0].tolist() == [0, 2, 4, 6, 8]
    largest = rows[:, 2]
    assert (largest > 0.0).all()
    bound = 0.999 * float(largest.max()) / KJ_PER_MOL_NM_PER_EV_PER_ANGSTROM
    config = short_config(
        artefact, watch=watch.changed(uncertainty=bound), on_alarm="stop", **values
    )
    stopped = run_simulation(config, tmp_path / "stopped")
    assert stopped.status == "alarm"
    assert "uncertainty" in stopped.message
    assert stopped.steps_done == int(rows[int(np.argmax(largest)), 0])


def test_a_rewind_in_nvt_has_other_velocities_and_other_noise(
    artefact: Artefact, tmp_path: Path
) -> None:
    watch = WatchConfig(interval=2, frames=1, rewinds=2, bond_deviation=0.15)
    values = {"ensemble": "nvt", "steps": 40, "report_interval": 4, "trajectory_interval": 3}
    config = short_config(artefact, watch=watch, on_alarm="rewind", checkpoint_interval=4, **values)
    whole = tmp_path / "whole"
    summary = run_simulation(config, whole)
    assert summary.rewinds == 2
    rewinds = json.loads((whole / "rewinds.json").read_text())["rewinds"]
    assert len(rewinds) == 2
    assert len({alarm.value for alarm in read_alarms(whole / "alarms.csv")}) >= 2
    run_simulation(config, tmp_path / "again")
    _assert_same(tmp_path / "again", whole)
    files = sorted(whole.glob("trajectory*.dcd"))
    top = str(whole / "topology.pdb")
    assert sum(mdtraj.load_dcd(str(f), top=top).n_frames for f in files) == summary.steps_done // 3
