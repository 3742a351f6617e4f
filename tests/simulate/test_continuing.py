"""A run that is killed and resumed is the uninterrupted one, bit for bit, in every ensemble.

The potential is OpenMM's own here, springs along the bonds: it costs nothing, and what an ensemble
keeps does not depend on it. `test_resume.py` kills a process under a real one.
"""

import os
import signal
from pathlib import Path
from typing import Any

import mdtraj
import numpy as np
import pytest
from openmm import HarmonicBondForce
from openmm.app import Simulation

from fisher_mlip.config import SimulateConfig, WatchConfig
from fisher_mlip.simulate import driving, engine, run_simulation
from fisher_mlip.simulate.checkpoints import read_state
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.systems import MolecularSystem
from openmm_plugin import PotentialForce

from .conftest import MakeConfig

STEPS = 20
# None of them a multiple of another, and the barostat acts within a checkpoint's interval.
INTERVALS = {"report_interval": 3, "trajectory_interval": 4, "checkpoint_interval": 6}
ENSEMBLES: dict[str, dict[str, Any]] = {
    "nve": {},
    "langevin": {"ensemble": "nvt"},
    "nose-hoover": {"ensemble": "nvt", "thermostat": "nose-hoover"},
    "npt": {"ensemble": "npt"},
    "npt-nose-hoover": {"ensemble": "npt", "thermostat": "nose-hoover"},
    "respa": {"inner": "opls", "respa_steps": 2},
    "respa-langevin": {"ensemble": "nvt", "inner": "opls", "respa_steps": 2},
    "respa-npt": {"ensemble": "npt", "inner": "opls", "respa_steps": 2},
}


class Killed(BaseException):
    """Ends a process where it stands, as far as the files can tell."""


@pytest.fixture(autouse=True)
def springs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put springs along the bonds where the potential would be."""

    def force(molecular: MolecularSystem, *_: object) -> PotentialForce:
        springs = HarmonicBondForce()
        for bond in molecular.topology.bonds():
            springs.addBond(bond.atom1.index, bond.atom2.index, 0.12, 2e5)
        springs.setUsesPeriodicBoundaryConditions(True)
        return PotentialForce(springs, "python", "torchscript", "springs", lambda: 1)

    monkeypatch.setattr(engine, "potential_force", force)


def _killed_at(kills: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have runs end at the beginning of the given steps, once each."""
    left, one_step = list(kills), driving._one_step

    def step(simulation: Simulation) -> None:
        if simulation.currentStep in left:
            left.remove(simulation.currentStep)
            raise Killed
        one_step(simulation)

    monkeypatch.setattr(driving, "_one_step", step)


def _resumed(config: SimulateConfig, run: Path, kills: int) -> Path:
    for attempt in range(kills):
        with pytest.raises(Killed):
            run_simulation(config, run, resume=attempt > 0)
    assert run_simulation(config, run, resume=True).status == "finished"
    return run


def _rows(run: Path) -> list[str]:
    """Return the ledger's rows without what a process decides: speed, and when lists were built."""
    lines = [line.split(",") for line in (run / "ledger.csv").read_text().splitlines()]
    left_out = ('"Speed', '"List Rebuilds')
    kept = [k for k, column in enumerate(lines[0]) if not column.startswith(left_out)]
    return [",".join(line[k] for k in kept) for line in lines]


def _content(run: Path) -> tuple[list[str], np.ndarray, str]:
    """Return the rows of ledger and watch, the frames, and the last state."""
    rows = _rows(run) + (run / "watch.csv").read_text().splitlines()
    segments = sorted(run.glob("trajectory*.dcd"), key=lambda path: ("part" in path.name, path))
    top = str(run / "topology.pdb")
    frames = np.concatenate([mdtraj.load_dcd(str(path), top=top).xyz for path in segments])
    return rows, frames, (run / "state.xml").read_text()


def _assert_same(run: Path, whole: Path) -> None:
    for found, expected in zip(_content(run), _content(whole), strict=True):
        assert np.array_equal(found, expected)


def _config(short: MakeConfig, name: str, platform: str, box: Path) -> SimulateConfig:
    values = {**INTERVALS, **ENSEMBLES[name], "barostat_interval": 2, "platform": platform}
    values["watch"] = WatchConfig(interval=5, frames=2, window_ps=0.004)
    return short(steps=STEPS, system=str(box), **values)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
@pytest.mark.parametrize("name", ENSEMBLES)
def test_killed_twice(
    name: str,
    platform: str,
    short: MakeConfig,
    ethanol_box: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once between checkpoints and once at one, whose state is not yet on the disk."""
    config = _config(short, name, platform, ethanol_box)
    run_simulation(config, tmp_path / "whole")
    _killed_at((9, 17), monkeypatch)
    _assert_same(_resumed(config, tmp_path / "killed", kills=2), tmp_path / "whole")


@pytest.mark.parametrize("name", ["langevin", "npt"])
def test_noise_that_is_not_begun_anew_is_another_run(
    name: str,
    short: MakeConfig,
    ethanol_box: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sabotage: an uninterrupted run whose noise goes on through its checkpoints."""
    config = _config(short, name, "CPU", ethanol_box)
    with monkeypatch.context() as careless:
        careless.setattr(driving, "renew", lambda *given: None)
        run_simulation(config, tmp_path / "whole")
    _killed_at((9,), monkeypatch)
    run = _resumed(config, tmp_path / "killed", kills=1)
    with pytest.raises(AssertionError):
        _assert_same(run, tmp_path / "whole")


@pytest.mark.parametrize("name", ["nve", "langevin"])
def test_interrupted_by_a_signal(
    name: str,
    short: MakeConfig,
    ethanol_box: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without noise the interrupted step is kept, with noise the last regular checkpoint."""
    config = _config(short, name, "CPU", ethanol_box)
    run_simulation(config, tmp_path / "whole")
    run = tmp_path / "run"
    one_step = driving._one_step

    def step(simulation: Simulation) -> None:
        one_step(simulation)
        if simulation.currentStep == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(driving, "_one_step", step)
        assert run_simulation(config, run).status == "interrupted"
    assert read_state(RunFolder(run)).getStepCount() == (8 if name == "nve" else 6)
    run_simulation(config, run, resume=True)
    _assert_same(run, tmp_path / "whole")
