"""`fisher-mlip data`: what commands write, print and refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fisher_mlip.cli.app import app
from fisher_mlip.data import Frames, read_frames, write_frames


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def ethanol_file(ethanol_frames: Frames, tmp_path: Path) -> Path:
    path = tmp_path / "ethanol.xyz"
    write_frames(path, ethanol_frames)
    return path


def test_info_describes_and_writes(ethanol_file: Path) -> None:
    shown = run("info", ethanol_file)
    assert "C2H6O 12" in shown
    assert "isolated atoms given with the frames" in " ".join(shown.split())
    overview = json.loads(ethanol_file.with_name("ethanol.info.json").read_text())
    assert overview["frames"] == 12
    assert overview["missing"] == {"energy": 0, "forces": 0, "stress": 12}
    assert overview["trainable"] is True


def test_info_says_why_frames_cannot_be_trained_on(tmp_path: Path) -> None:
    bare = tmp_path / "bare.xyz"
    bare.write_text("2\nProperties=species:S:1:pos:R:3 energy=-1.0\nH 0 0 0\nH 0 0 0.74\n")
    shown = " ".join(run("info", bare).split())
    assert "composition fit over 1 frames" in shown
    assert "no forces" in shown


def test_info_of_broken_positions_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "broken.xyz"
    broken.write_text(
        "2\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1.0\n"
        "H 0 0 nan 0 0 0\nH 0 0 0.74 0 0 0\n"
    )
    shown = " ".join(run("info", broken).split())
    assert "expected finite numbers as positions of frame 0" in shown


def test_split_writes_three_files_the_same_each_time(ethanol_file: Path, tmp_path: Path) -> None:
    sizes = ("--train", 8, "--validation", 2, "--test", 2)
    shown = run("split", ethanol_file, *sizes, "-o", tmp_path / "one")
    assert "train 8, validation 2, test 2" in shown
    run("split", ethanol_file, *sizes, "-o", tmp_path / "two")
    for name in ("train.xyz", "validation.xyz", "test.xyz", "summary.json"):
        assert (tmp_path / "one" / name).read_text() == (tmp_path / "two" / name).read_text()
    assert read_frames(tmp_path / "one" / "test.xyz").reference_energies[6] == -1030.0
    refused = run("split", ethanol_file, *sizes, "-o", tmp_path / "one", code=2)
    assert "exists: name another one or pass --overwrite" in refused
    kept = tmp_path / "one" / "all.xyz"
    kept.write_bytes(ethanol_file.read_bytes())
    refused = run("split", kept, *sizes, "-o", tmp_path / "one", "--overwrite", code=2)
    assert "holds the input" in refused
    assert kept.is_file()


def test_convert_reads_an_archive_in_the_unit_given(tmp_path: Path) -> None:
    positions = np.zeros((2, 2, 3))
    positions[:, 1, 0] = 0.74
    energies, forces = np.array([-1.0, -2.0]), np.ones((2, 2, 3))
    np.savez(tmp_path / "a.npz", z=np.array([1, 1]), R=positions, E=energies, F=forces)
    (tmp_path / "e0.yaml").write_text("H: -0.25\n")
    arguments = ("--npz-unit", "eV", "--e0s", tmp_path / "e0.yaml")
    run("convert", tmp_path / "a.npz", tmp_path / "a.xyz", *arguments)
    frames = read_frames(tmp_path / "a.xyz")
    assert [frame.energy for frame in frames] == [-1.0, -2.0]
    assert frames.reference_energies == {1: -0.25}
    summary = json.loads((tmp_path / "a.summary.json").read_text())
    assert summary["content_hash"] == frames.content_hash()


def npz_file(folder: Path) -> Path:
    positions = np.zeros((1, 2, 3))
    positions[:, 1, 0] = 0.74
    arrays = {"z": np.array([1, 1]), "R": positions, "E": np.ones(1), "F": np.zeros((1, 2, 3))}
    np.savez(folder / "b.npz", **arrays)
    return folder / "b.npz"


def test_no_command_replaces_its_own_input(ethanol_file: Path, tmp_path: Path) -> None:
    before = ethanol_file.read_bytes()
    energies = ("--e0s", ethanol_file)
    for arguments in (
        ("convert", ethanol_file, ethanol_file, "--overwrite"),
        ("convert", npz_file(tmp_path), ethanol_file, *energies, "--overwrite"),
        ("label", ethanol_file, "--calculator", "opls-ethanol", "-o", ethanol_file, "--overwrite"),
        ("info", ethanol_file, "-o", ethanol_file),
    ):
        assert f"is the input '{ethanol_file}'" in run(*arguments, code=2).replace("\n", " ")
        assert ethanol_file.read_bytes() == before


def test_an_option_that_would_change_nothing_is_refused(ethanol_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.xyz"
    unit = ("--npz-unit", "kcal/mol")
    for arguments in (("convert", ethanol_file, output), ("info", ethanol_file)):
        assert "error: --npz-unit is for an .npz, found" in run(*arguments, *unit, code=2)
        run(*arguments)
    gas = ("generate", "ethanol", "--phase", "gas", "-o", tmp_path / "gas.xyz")
    for option in (("--molecules", 5), ("--density", 3), ("--no-stress",)):
        name = str(option[0]).replace("no-", "")
        assert f"error: {name} is for --phase liquid" in run(*gas, *option, code=2)
    assert not (tmp_path / "gas.xyz").exists()


def test_reference_energies_that_lack_an_element_are_refused(
    ethanol_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "e0.yaml").write_text("H: -0.25\nC: -3\n")
    energies = ("--e0s", tmp_path / "e0.yaml")
    shown = run("convert", ethanol_file, tmp_path / "x.xyz", *energies, code=2)
    assert "found none for O" in shown
    assert not (tmp_path / "x.xyz").exists()


@pytest.mark.parametrize("where", ["H 0 0 nan 0 0 0", "H 0 0 0 0 inf 0"])
def test_numbers_that_are_not_finite_are_not_handed_on(tmp_path: Path, where: str) -> None:
    broken = tmp_path / "broken.xyz"
    header = "2\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1.0\n"
    broken.write_text(f"{header}H 0 0 0.74 0 0 0\n{where}\n")
    shown = run("convert", broken, tmp_path / "x.xyz", code=2)
    assert "error: expected finite numbers as" in shown
    assert not (tmp_path / "x.xyz").exists()


def test_generate_gas(tmp_path: Path) -> None:
    output = tmp_path / "gas.xyz"
    options = ("--frames", 2, "--interval", 0.01, "--seed", 4)
    run("generate", "ethanol", *options, "-o", output)
    frames = read_frames(output)
    assert len(frames) == 2
    assert frames[0].config_type == "gas_500K"
    summary = json.loads((tmp_path / "gas.summary.json").read_text())
    assert (summary["phase"], summary["seed"], summary["frames"]) == ("gas", 4, 2)
    assert "exists" in run("generate", "ethanol", *options, "-o", output, code=2)


def test_label_takes_options_and_tells_failures(ethanol_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "labeled.xyz"
    run("label", ethanol_file, "--calculator", "opls-ethanol", "-o", output)
    assert read_frames(output).reference_energies == {1: 0.0, 6: 0.0, 8: 0.0}
    refused = run(
        "label", ethanol_file, "--calculator", "nothing", "-o", tmp_path / "x.xyz", code=2
    )
    assert "expected a calculator opls-ethanol" in refused


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("info", "nowhere.xyz"), "expected a file of frames 'nowhere.xyz', found none"),
        (("generate", "water", "-o", "w.xyz"), "expected the system 'ethanol', found 'water'"),
        (("generate", "ethanol", "-o", "e.pdb"), "expected an output ending in .xyz or .extxyz"),
    ],
)
def test_refusals_are_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    assert f"error: {sentence}" in run(*arguments, code=2)
