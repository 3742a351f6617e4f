"""The training benchmark without its trainers: curves, thresholds, budgets, settings, errors."""

import argparse
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

SCRIPTS = Path(__file__).parents[2] / "scripts"
MAE = "validation_force_mae_meV_A"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("benchmark_training")


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS / "peers"))
    return importlib.import_module("training")


def job(training: ModuleType, folder: Path, **more: Any) -> Any:
    known = {"task": "train", "training": str(folder / "a.xyz"), "validation": "", "test": ""}
    known |= {"isolated_atoms": "", "reference_energies": {"H": -13.0}, "output": str(folder)}
    sizes = {"cutoff": 5.0, "batch_size": 5, "network": [16, 2, 3, 1], "epochs": 4}
    return training.TrainingJob(**known, **sizes, **more)


def test_the_clock_writes_the_curve_that_is_read(
    benchmark: ModuleType, training: ModuleType, tmp_path: Path
) -> None:
    clock = training.Clock(tmp_path)
    clock.step()
    clock.validated(1, 0.05)
    clock.validated(2, 0.03, head=True)
    path = tmp_path / training.CURVE_NAME
    with path.open("a") as handle:
        handle.write('{"seconds": 3.0, "pro')
    points = benchmark.curve(path)
    assert [(point["epoch"], point[MAE]) for point in points] == [(1, 50.0), (2, 30.0)]
    assert [point.get("head", False) for point in points] == [False, True]
    assert 0.0 <= points[0]["seconds"] <= points[1]["seconds"]
    assert benchmark.curve(tmp_path / "none") == []


def test_a_threshold_is_reached_when_the_error_is_first_below_it(benchmark: ModuleType) -> None:
    maes = [50.0, 40.0, 34.0, 36.0, 28.0]
    points = [{"seconds": 10.0 * i, MAE: mae} for i, mae in enumerate(maes, 1)]
    found = benchmark.first_below(points, "seconds")
    assert found["40"] == 30.0  # 40 is not below 40
    assert found["35"] == 30.0
    assert found["29"] == 50.0
    assert found["20"] is None


def test_epochs_fill_the_seconds(benchmark: ModuleType) -> None:
    assert benchmark.epochs_of(100.0, 40, 0.1, 1.0) == 20
    assert benchmark.epochs_of(1.0, 40, 0.1, 1.0) == 1


def test_settings_have_an_owner(benchmark: ModuleType) -> None:
    assert benchmark.setting("nequip.final_lr=1e-5") == ("nequip", "final_lr", 1e-5)
    assert benchmark.setting("mace.scheduler=ReduceLROnPlateau")[2] == "ReduceLROnPlateau"
    assert benchmark.network("32/2/3") == (32, 2, 3, 1)
    assert benchmark.network("32/2/3/2") == (32, 2, 3, 2)
    for bad in ("features=16", "schnet.lr=1", "mace.swa"):
        with pytest.raises(argparse.ArgumentTypeError):
            benchmark.setting(bad)
    with pytest.raises(argparse.ArgumentTypeError):
        benchmark.network("32/2")


def test_the_cosine_of_nequip_ends_with_its_last_step(training: ModuleType, tmp_path: Path) -> None:
    nequip = importlib.import_module("nequip_training")
    write(tmp_path / "a.xyz", [Atoms("H2", positions=np.eye(3)[:2])] * 12, format="extxyz")
    found = nequip.schedule(job(training, tmp_path), nequip.SETTINGS)
    assert found["scheduler"]["T_max"] == 4 * 3  # 12 frames are 3 steps of 5
    assert found["interval"] == "step"


def test_errors_are_those_of_components_and_frames(training: ModuleType, tmp_path: Path) -> None:
    frames = []
    for energy in (-1.0, -2.0):
        atoms = Atoms("H2", positions=np.eye(3)[:2])
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((2, 3)))
        frames.append(atoms)
    write(tmp_path / "test.xyz", frames, format="extxyz")

    class Off:
        results: dict[str, Any]

        def calculate(self, atoms: Atoms, *args: Any) -> None:
            forces = np.zeros((2, 3))
            forces[0] = 0.02
            self.results = {"energy": -1.0, "forces": forces}

    found = training.calculator_errors(Off(), str(tmp_path / "test.xyz"))
    assert found == {"force_mae_meV_A": 10.0, "energy_mae_meV": 500.0}
    json.dumps(found)
