"""Reference averages from a run folder: its molecules as time series, its temperature checked."""

from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.config import SimulateConfig
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact
from fisher_mlip.simulate.run import run_simulation
from fisher_mlip.stable.reference import read_reference

ELEMENTS = [1, 6, 8]


@pytest.fixture(scope="module")
def run(artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two molecules at 300 K, a frame every step."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    config = SimulateConfig(
        model=str(artefact.path),
        molecules=2,
        ensemble="nvt",
        temperature=300.0,
        timestep=0.1,
        steps=20,
        report_interval=5,
        trajectory_interval=1,
        platform="Reference",
    )
    run_simulation(config, folder)
    return folder


def test_molecules_of_a_gas_are_time_series(run: Path) -> None:
    found = read_reference(run, ELEMENTS, 300.0)
    assert found.cells is None
    assert found.positions.shape == (2 * 16, 9, 3)
    np.testing.assert_array_equal(found.series, np.repeat([0, 1], 16))
    # Within a series the next frame is near, the other molecule is elsewhere.
    moved = np.abs(np.diff(found.positions, axis=0)).max(axis=(1, 2))
    assert moved[15] > 3.0
    assert np.delete(moved, 15).max() < 0.1
    assert len(found.bonds) == 8


def test_a_run_at_another_temperature_is_refused(run: Path) -> None:
    with pytest.raises(InputError, match=r"expected a reference run at 500 K .*one at 300 K"):
        read_reference(run, ELEMENTS, 500.0)


def test_a_run_without_a_thermostat_is_refused(run: Path, tmp_path: Path) -> None:
    place = tmp_path / "nve"
    place.mkdir()
    for path in run.iterdir():
        if path.is_file():
            (place / path.name).write_bytes(path.read_bytes())
    config = (place / "config.yaml").read_text()
    (place / "config.yaml").write_text(config.replace("ensemble: nvt", "ensemble: nve"))
    with pytest.raises(InputError, match=r"at a fixed temperature, nvt or npt, .*found nve"):
        read_reference(place, ELEMENTS, 300.0)


def test_an_unknown_element_is_refused(run: Path) -> None:
    with pytest.raises(InputError, match="found also O"):
        read_reference(run, [1, 6], 300.0)
