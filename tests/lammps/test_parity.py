"""What comes out of `lmp` against the eager model: energy, forces, virial, uncertainty."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.export.lammps_artefact import LammpsArtefact
from fisher_mlip.lammps.check import LammpsParity, compare_in_lammps, fits_lammps, run_frame
from fisher_mlip.model import Checkpoint
from fisher_mlip.model.checkpoint import network_in
from fisher_mlip.model.graph import build_graph
from fisher_mlip.model.potential import evaluate
from fisher_mlip.model.uncertainty import estimate_uncertainty
from tests.lammps.engine import needs_lammps, run_lammps, start_of_input, thermo_lines, write_data

pytestmark = needs_lammps


def worst(parity: LammpsParity) -> float:
    return max(
        parity.force_difference,
        parity.energy_difference_per_atom,
        parity.virial_difference_per_atom,
    )


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_tilted_liquid(
    two_layers: Checkpoint,
    for_lammps: LammpsArtefact,
    tilted_liquid: Frame,
    plugin: Path,
    ranks: int,
) -> None:
    parity = compare_in_lammps(for_lammps, two_layers, [tilted_liquid], plugin, ranks=ranks)
    assert parity.holds
    assert parity.largest_force > 1.0
    if for_lammps.manifest.dtype == "float64":
        assert worst(parity) < 1e-9


@pytest.mark.parametrize("layout", ["processors 2 1 1", "comm_style tiled"])
def test_two_ranks_are_one(
    in_float64: LammpsArtefact, tilted_liquid: Frame, plugin: Path, layout: str
) -> None:
    alone = run_frame(in_float64.path, tilted_liquid, plugin)
    extra = [layout] if "tiled" in layout else []
    shared = run_frame(in_float64.path, tilted_liquid, plugin, ranks=2, extra=extra)
    scale = np.abs(alone.forces).max()
    assert np.abs(shared.forces - alone.forces).max() < 1e-12 * max(1.0, scale)
    assert shared.energy == pytest.approx(alone.energy, rel=1e-12)
    assert np.abs(shared.virial - alone.virial).max() < 1e-12 * np.abs(alone.virial).max()


def test_more_ranks_than_the_box_has_room_for(
    two_layers: Checkpoint, in_float64: LammpsArtefact, tilted_liquid: Frame, plugin: Path
) -> None:
    """Four ranks, each narrower than its ghosts reach."""
    parity = compare_in_lammps(in_float64, two_layers, [tilted_liquid], plugin, ranks=4)
    assert worst(parity) < 1e-9


@pytest.mark.slow
def test_a_ghost_shell_one_layer_short_is_caught(
    two_layers: Checkpoint, in_float64: LammpsArtefact, tilted_liquid: Frame
) -> None:
    """The sabotage twin; that all forces add up to zero would not have told."""
    short = _build("FISHER_MLIP_MISSING_LAYERS=1")
    parity = compare_in_lammps(in_float64, two_layers, [tilted_liquid], short, ranks=2)
    assert not parity.holds
    assert parity.force_difference > 1e-3
    found = run_frame(in_float64.path, tilted_liquid, short, ranks=2)
    assert np.abs(found.forces.sum(axis=0)).max() < 1e-10


def test_swapped_components_of_the_virial_are_caught(
    two_layers: Checkpoint, in_float64: LammpsArtefact, tilted_liquid: Frame, plugin: Path
) -> None:
    """All six are compared: the tilted box makes them differ, so that any two swapped are seen."""
    network = network_in(two_layers, "float64")
    graph = build_graph(tilted_liquid, two_layers.config.elements, network.cutoff)
    stresses = evaluate(network, graph, stress=True).stresses
    assert stresses is not None
    expected = -stresses[0].numpy() * np.linalg.det(tilted_liquid.cell)
    found = run_frame(in_float64.path, tilted_liquid, plugin).virial

    def is_right(virial: FloatArray) -> bool:
        return bool(np.abs(virial - expected).max() < 1e-9 * np.abs(expected).max())

    assert is_right(found)
    six = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    for first, second in combinations(six, 2):
        swapped = found.copy()
        for place, value in ((first, found[second]), (second, found[first])):
            swapped[place] = swapped[place[::-1]] = value
        assert not is_right(swapped)


def test_a_cluster_in_a_corner(
    two_layers: Checkpoint, in_float64: LammpsArtefact, ethanol_frames: object, plugin: Path
) -> None:
    """One rank of two has no atoms: it has nothing to evaluate and communicates all the same."""
    frame = ethanol_frames[0]  # type: ignore[index]
    cell = 60.0 * np.eye(3)
    corner = Frame(frame.atomic_numbers, frame.positions + 5.0, cell, np.ones(3, dtype=bool))
    parity = compare_in_lammps(in_float64, two_layers, [corner], plugin, ranks=2)
    assert worst(parity) < 1e-9


def test_a_cell_shorter_than_the_cutoff(
    two_layers: Checkpoint, in_float64: LammpsArtefact, plugin: Path
) -> None:
    """An atom that is its own neighbor, several images away."""
    cell = np.array([[2.2, 0.0, 0.0], [0.4, 2.4, 0.0], [-0.3, 0.5, 2.6]])
    frame = Frame(
        np.array([6, 1]), np.array([[0.1, 0.2, 0.3], [1.2, 1.0, 1.1]]), cell, np.ones(3, dtype=bool)
    )
    for ranks in (1, 2):
        parity = compare_in_lammps(in_float64, two_layers, [frame], plugin, ranks=ranks)
        assert worst(parity) < 1e-9 * max(1.0, parity.largest_force)


def test_sums_over_atoms_are_the_whole(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path
) -> None:
    symbols = write_data(tmp_path, tilted_liquid)
    run = run_lammps(
        tmp_path,
        [
            *start_of_input(in_float64.path, symbols),
            "compute e all pe/atom",
            "compute s all stress/atom NULL virial",
            "compute E all reduce sum c_e",
            "compute S all reduce sum c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6]",
            *thermo_lines("pe vol pxx pyy pzz pxy pxz pyz c_E c_S[*]"),
            "run 0",
        ],
        ranks=2,
    )
    found = {name: float(column[0]) for name, column in run.thermo().items()}
    assert found["c_E"] == pytest.approx(found["PotEng"], rel=1e-12)
    for k, name in enumerate(("Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz"), start=1):
        assert -found[f"c_S[{k}]"] / found["Volume"] == pytest.approx(found[name], rel=1e-10)


@pytest.mark.parametrize("ranks", [1, 2])
def test_uncertainty_by_atom_every_n_steps(
    two_layers: Checkpoint,
    for_lammps: LammpsArtefact,
    tilted_liquid: Frame,
    tmp_path: Path,
    ranks: int,
) -> None:
    symbols = write_data(tmp_path, tilted_liquid)
    run = run_lammps(
        tmp_path,
        [
            *start_of_input(for_lammps.path, symbols),
            "fix integrate all nve",
            "timestep 1e-9",
            "fix u all pair 2 fisher_mlip uncertainty 1",
            "run 0",
            "write_dump all custom u.txt id f_u modify sort id format float %.17g",
            "compute largest all reduce max f_u",
            *thermo_lines("c_largest", interval=2),
            "run 4",
        ],
        ranks=ranks,
    )
    assert run.code == 0, run.error
    network = network_in(two_layers, for_lammps.manifest.dtype)
    graph = build_graph(tilted_liquid, two_layers.config.elements, network.cutoff)
    expected = estimate_uncertainty(network, graph).forces
    assert expected is not None
    tolerance = 1e-9 if for_lammps.manifest.dtype == "float64" else 1e-4
    assert np.abs(run.dump("u.txt")[:, 1] - expected.numpy()).max() < tolerance
    # Atoms have not moved: what is told every second step is what it was.
    assert np.ptp(run.thermo()["c_largest"]) < 1e-4


def test_units_real(in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path) -> None:
    symbols = write_data(tmp_path, tilted_liquid)
    energies = {}
    for units in ("metal", "real"):
        lines = start_of_input(in_float64.path, symbols)
        lines[0] = f"units {units}"
        dump = f"write_dump all custom {units}.txt id fx fy fz modify sort id format float %.17g"
        run = run_lammps(tmp_path, [*lines, *thermo_lines("pe"), "fix 1 all nve", "run 0", dump])
        assert run.code == 0, run.error
        energies[units] = (run.thermo()["PotEng"][0], run.dump(f"{units}.txt")[:, 1:])
    # kcal/mol of LAMMPS's own table: 23.060549 of them are an eV.
    assert energies["real"][0] == pytest.approx(23.060549 * energies["metal"][0], rel=1e-9)
    assert np.allclose(energies["real"][1], 23.060549 * energies["metal"][1], rtol=1e-9, atol=1e-9)


def test_frames_that_lammps_takes(tilted_liquid: Frame) -> None:
    assert fits_lammps(tilted_liquid)
    turned = replace(tilted_liquid, cell=tilted_liquid.cell[::-1].copy())
    assert not fits_lammps(turned)


def _build(*definitions: str) -> Path:
    command = [sys.executable, "-m", "lammps_plugin", *definitions]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    return Path(ended.stdout.strip())
