"""A real run whose step is too long, diagnosed from its folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fisher_mlip.cli.app import app
from fisher_mlip.cli.info import describe
from fisher_mlip.config import ModelConfig, SimulateConfig
from fisher_mlip.data import Frame, Frames, write_frames
from fisher_mlip.diagnose.state import read_start
from fisher_mlip.errors import InputError
from fisher_mlip.export import write_artefact
from fisher_mlip.fisher import Options, finetune
from fisher_mlip.model import Checkpoint, CheckpointConfig, new_network
from fisher_mlip.simulate import run_simulation
from fisher_mlip.testing import morse_energy_and_forces


@pytest.fixture(scope="module")
def too_long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three H2 that are Morse oscillators of 15 fs, at 1.5 fs."""
    folder = tmp_path_factory.mktemp("diagnosed")
    artefact = write_artefact(folder, morse_hydrogen(), "float64")
    places = np.arange(3)[:, None, None] * np.array([0.0, 12.0, 0.0])
    positions = (places + np.array([[0.0, 0.0, 0.0], [0.66, 0.0, 0.0]])).reshape(-1, 3)
    write_frames(folder / "h2.xyz", Frames((Frame(np.ones(6, dtype=np.int64), positions),)))
    config = SimulateConfig(
        model=str(artefact.path),
        system=str(folder / "h2.xyz"),
        temperature=300.0,
        timestep=1.5,
        steps=4,
        report_interval=1,
        trajectory_interval=2,
        checkpoint_interval=2,
        platform="Reference",
        route="torchforce",
    )
    run_simulation(config, folder / "run")
    return folder / "run"


def morse_hydrogen() -> Checkpoint:
    """A tiny network whose readout is solved for on stretched H2."""
    torch.manual_seed(0)
    numbers, frames = np.ones(2, dtype=np.int64), []
    for length in np.linspace(0.4, 1.3, 24):
        positions = np.array([[0.0, 0.0, 0.0], [length, 0.0, 0.0]])
        energy, forces = morse_energy_and_forces(numbers, positions)
        frames.append(Frame(numbers, positions, energy=energy, forces=forces))
    data = Frames(tuple(frames), {1: 0.0}, source="Morse H2")
    config = CheckpointConfig(
        model=ModelConfig(
            features=16, max_degree=0, num_iterations=1, num_basis_functions=8, radial_width=8
        ),
        elements=[1],
        reference_energies={1: 0.0},
        dtype="float64",
    )
    untrained = Checkpoint(new_network(config).eval(), config)
    options = Options(kinds=("last-layer",), look_outside=False)
    parts = data.subset(range(0, 24, 2)), data.subset(range(1, 24, 2))
    return finetune(untrained, *parts, options=options).checkpoint


def test_a_step_that_is_too_long_is_named(too_long: Path, tmp_path: Path) -> None:
    output = tmp_path / "diagnosis"
    arguments = ["diagnose", str(too_long), "--ps", "0.24", "-o", str(output)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    summary = json.loads((output / "summary.json").read_text())
    assert summary["cause"] == "timestep", summary["verdict"]
    base, half, skin = summary["segments"]
    assert skin["fluctuation"]["value"] == pytest.approx(base["fluctuation"]["value"], rel=0.2)
    assert 3.0 < base["fluctuation"]["value"] / half["fluctuation"]["value"] < 5.5
    assert "timestep: " in done.stdout
    assert "not run: float64" in done.stdout
    assert (output / "diagnose.png").is_file()
    assert describe(output)["cause"] == "timestep"
    # Both start from the same state: the first rows are the same to the last digits.
    first, second = (
        float((output / name).read_text().splitlines()[1].split(",")[4])
        for name in ("ledger-as-it-was.csv", "ledger-half-the-step.csv")
    )
    assert first == pytest.approx(second, abs=1e-9)


def test_the_start_is_that_of_the_run(too_long: Path) -> None:
    """Positions to the digits of its PDB, and the kinetic energy that its ledger begins with."""
    start = read_start(too_long, "start")
    row = (too_long / "ledger.csv").read_text().splitlines()[1].split(",")
    kinetic = 0.5 * (start.molecular.masses[:, None] * start.velocities**2).sum()
    assert kinetic == pytest.approx(float(row[3]), rel=1e-6)
    later = read_start(too_long, "checkpoint")
    assert (start.step, later.step) == (0, 4)
    last = (too_long / "ledger.csv").read_text().splitlines()[-1].split(",")
    kinetic = 0.5 * (later.molecular.masses[:, None] * later.velocities**2).sum()
    assert kinetic == pytest.approx(float(last[3]), rel=1e-6)


@pytest.mark.parametrize("part", [0.0, 0.4, 0.5, 0.6])
def test_a_torn_topology_is_refused(too_long: Path, tmp_path: Path, part: float) -> None:
    run = shutil.copytree(too_long, tmp_path / "run")
    text = (run / "topology.pdb").read_text()
    (run / "topology.pdb").write_text(text[: int(part * len(text))])
    with pytest.raises(InputError, match=r"expected (a PDB file|6 atoms in) '.*', found"):
        read_start(run, "start")


def test_what_cannot_be_run_again_is_refused(too_long: Path, tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["diagnose", str(tmp_path), "-o", str(tmp_path / "out")])
    assert refused.exit_code == 2
    assert "expected a run folder" in refused.output
    with pytest.raises(InputError, match="50 steps or more"):
        done = CliRunner().invoke(
            app, ["--debug", "diagnose", str(too_long), "--ps", "0.01", "-o", str(tmp_path / "o")]
        )
        assert done.exception is not None
        raise done.exception
    assert not (tmp_path / "o").exists()
