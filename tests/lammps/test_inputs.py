"""Data files and inputs: what is written is what LAMMPS reads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.config import SimulateConfig
from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.errors import InputError
from fisher_mlip.lammps.data_file import data_text, type_symbols
from fisher_mlip.lammps.input_script import InputFiles, input_script
from fisher_mlip.simulate.structures import topology_of
from fisher_mlip.simulate.systems import MolecularSystem
from tests.lammps.engine import needs_lammps, run_lammps, thermo_lines, write_data

FILES = InputFiles("in.test", "model.lmp.pt", "test.data")


def system_of(frame: Frame) -> MolecularSystem:
    cell = frame.cell if frame.is_periodic else None
    return MolecularSystem(topology_of(frame), frame.positions, cell, False)


def modulo_cell(difference: FloatArray, cell: FloatArray) -> FloatArray:
    scaled = difference @ np.linalg.inv(cell)
    return np.asarray((scaled - np.round(scaled)) @ cell)


@needs_lammps
def test_lammps_reads_every_digit(tilted_liquid: Frame, tmp_path: Path) -> None:
    velocities = np.random.default_rng(0).normal(size=tilted_liquid.positions.shape)
    symbols = write_data(tmp_path, tilted_liquid, velocities)
    columns = "id type mass xu yu zu vx vy vz"
    run = run_lammps(
        tmp_path,
        [
            *("units metal", "atom_style molecular", "read_data test.data"),
            *("pair_style zero 3.0", "pair_coeff * *", "fix 1 all nve", "run 0"),
            f"write_dump all custom a.txt {columns} modify sort id format float %.17g",
            *thermo_lines("lx ly lz xy xz yz"),
            "run 0",
        ],
    )
    assert run.code == 0, run.error
    found = run.dump("a.txt")
    wanted = [symbols.index(atom.element.symbol) + 1 for atom in topology_of(tilted_liquid).atoms()]
    assert found[:, 1].tolist() == wanted
    assert np.array_equal(found[:, 2], system_of(tilted_liquid).masses)
    # Wrapping an atom that is a cell away costs its last digit.
    assert (
        np.abs(modulo_cell(found[:, 3:6] - tilted_liquid.positions, tilted_liquid.cell)).max()
        < 1e-13
    )
    assert np.array_equal(found[:, 6:], velocities)
    box, cell = run.thermo(), tilted_liquid.cell
    lengths = [box[name][0] for name in ("Lx", "Ly", "Lz")]
    tilts = [box[name][0] for name in ("Xy", "Xz", "Yz")]
    assert lengths == np.diagonal(cell).tolist()
    assert tilts == [cell[1, 0], cell[2, 0], cell[2, 1]]


def test_a_turned_cell_is_refused(tilted_liquid: Frame) -> None:
    turned = replace(tilted_liquid, cell=tilted_liquid.cell[:, ::-1].copy())
    with pytest.raises(InputError, match="expected a cell with a along x"):
        data_text(system_of(turned), np.zeros_like(turned.positions), "")


def test_types_are_elements_by_name(tilted_liquid: Frame) -> None:
    assert type_symbols(system_of(tilted_liquid)) == ["C", "H", "O"]


@pytest.mark.parametrize(
    ("ensemble", "thermostat", "fixes"),
    [
        ("nve", "langevin", ["all nve"]),
        ("nvt", "nose-hoover", ["all nvt temp 300 300 0.05"]),
        ("nvt", "langevin", ["all nve", "all langevin 300 300 0.5 "]),
        ("npt", "nose-hoover", ["all npt temp 300 300 0.05 iso 2 2 1.0"]),
        ("npt", "langevin", ["all nph iso 2 2 1.0", "all langevin 300 300 0.5 "]),
    ],
)
def test_ensembles(liquid: Frame, ensemble: str, thermostat: str, fixes: list[str]) -> None:
    config = SimulateConfig(
        model="",
        ensemble=ensemble,  # type: ignore[arg-type]
        thermostat=thermostat,  # type: ignore[arg-type]
        temperature=300.0,
        friction=2.0,
        collision_frequency=20.0,
        pressure_bar=2.0,
    )
    text = input_script(system_of(liquid), config, FILES, title="test")
    for fix in fixes:
        assert fix in text
    keeps_momentum = thermostat == "nose-hoover" or ensemble == "nve"
    assert ("thermo_temp extra/dof 0" not in text) == keeps_momentum
    taken = [float(line.split()[-1]) for line in text.splitlines() if "compute_modify  T_" in line]
    assert sum(taken) == pytest.approx(3.0 if keeps_momentum else 0.0)


def test_noise_depends_on_the_step_it_goes_on_from(liquid: Frame) -> None:
    config = SimulateConfig(model="", ensemble="nvt", temperature=300.0)
    texts = [
        input_script(system_of(liquid), config, FILES, title="test", step=step) for step in (0, 20)
    ]
    lines = [next(row for row in text.splitlines() if "langevin" in row) for text in texts]
    assert lines[0] != lines[1]
