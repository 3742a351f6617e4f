"""What a healed run refuses before anything is written, and how often it is rewound."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fisher_mlip.cli import app
from fisher_mlip.config import HealConfig, WatchConfig
from fisher_mlip.data import Frame, Frames, write_frames
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions
from fisher_mlip.errors import InputError
from fisher_mlip.heal import run_healed_simulation
from fisher_mlip.simulate import run_simulation
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.rewinding import Healed, plan_rewind, read_rewinds

from .conftest import Poor, poor_config


def test_bad_options_leave_nothing(poor: Poor, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for values, told in (
        ({"calculator": "nonsense"}, "expected a calculator opls-ethanol, tblite, or module:Class"),
        ({"checkpoint": str(tmp_path)}, "expected normal equations in"),
        ({"calculator": "ase.calculators.lj:LennardJones"}, "to be of the level of theory"),
        ({"calculator": ""}, "expected a calculator to heal with, found none"),
        ({"calculator": "ase.build:molecule"}, "expected a class of ASE calculators"),
    ):
        config = poor_config(poor, heal=HealConfig(**({"calculator": "opls"} | values)))
        with pytest.raises(InputError, match=told):
            run_healed_simulation(config, run)
        assert not run.exists()
    for changed, told in (
        ({"on_alarm": "warn"}, "heal goes with on_alarm rewind, found on_alarm warn"),
        ({"engine": "lammps"}, "heal is for the engine openmm"),
        ({"watch": WatchConfig(enabled=False)}, "rewind needs the watch"),
    ):
        with pytest.raises(InputError, match=told):
            run_healed_simulation(poor_config(poor).model_copy(update=changed), run)
        assert not run.exists()
    with pytest.raises(InputError, match=r"needs fisher_mlip.heal.run_healed_simulation"):
        run_simulation(poor_config(poor), run)
    done = CliRunner().invoke(app, ["simulate", str(poor.artefact.path), "--heal-frames", "3"])
    assert "expected a calculator beside other options of heal" in done.output


def test_a_box_too_large_to_label_is_refused(poor: Poor, tmp_path: Path) -> None:
    box = Frame(ATOMIC_NUMBERS, ethanol_positions(), 12.0 * np.eye(3), np.ones(3, dtype=bool))
    write_frames(tmp_path / "box.xyz", Frames((box,)))
    heal = HealConfig(calculator="opls", largest_frame=8)
    config = poor_config(poor, heal=heal, system=str(tmp_path / "box.xyz"))
    with pytest.raises(InputError, match="at most 8 atoms to label at once"):
        run_healed_simulation(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_healed_run_gets_as_many_rewinds_as_it_makes_progress(poor: Poor, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.good_states.mkdir()
    for step in (0, 10, 20, 30):
        (folder.good_states / f"{step}.xml").write_text("")
    config = poor_config(poor, watch=WatchConfig(interval=2, frames=2, rewinds=2))
    for step in (14, 24, 34):
        assert plan_rewind(folder, step, "bond deviation", config) == ""
    assert plan_rewind(folder, 24, "bond deviation", config).endswith("healing did not help")
    assert plan_rewind(folder, 24, "largest force", config) == ""
    unhealed = config.model_copy(update={"heal": HealConfig()})
    assert plan_rewind(folder, 44, "bond deviation", unhealed).endswith("as many as may be")


def test_a_healed_run_goes_back_to_where_it_was_sound(poor: Poor, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.good_states.mkdir()
    for step in (0, 10, 20, 30):
        (folder.good_states / f"{step}.xml").write_text("")
    config = poor_config(poor, watch=WatchConfig(interval=2, frames=2))
    for sound, target in ((33, 30), (19, 10), (9, 0), (-1, 0)):
        folder.rewinds.unlink(missing_ok=True)
        healed = Healed("healed-001", sound_step=sound)
        assert plan_rewind(folder, 34, "x", config, lambda found=healed: found) == ""
        (rewind,) = read_rewinds(folder).rewinds
        assert (rewind.step, rewind.model) == (target, "healed-001")
    folder.rewinds.unlink()
    assert plan_rewind(folder, 34, "x", config, lambda: Healed("", "no labels")) == "no labels"
    assert not folder.rewinds.exists()
