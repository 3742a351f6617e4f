"""`export --target lammps` and `mliap`, `lammps build`, `info`, `analyze`: as a user meets them."""

import subprocess
import sys
import sysconfig
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from typer.testing import CliRunner

from fisher_mlip.cli.app import app
from fisher_mlip.data.frames import Frame
from fisher_mlip.model import Checkpoint, save_checkpoint
from fisher_mlip.products import read_json
from tests.lammps.engine import needs_lammps, run_lammps

EXAMPLES = Path(__file__).parents[2] / "examples" / "lammps"


@pytest.fixture(scope="module")
def saved(two_layers: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as a checkpoint folder."""
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder, two_layers)
    return folder


def invoke(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def exported(saved: Path, liquid: Frame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`export --target lammps` of the liquid, tried in LAMMPS where it is installed."""
    folder = tmp_path_factory.mktemp("exported")
    box = folder / "ethanol.xyz"
    write(box, Atoms(liquid.atomic_numbers, liquid.positions, cell=liquid.cell, pbc=True))
    made = folder / "made"
    code, text = invoke("export", saved, "--target", "lammps", "--system", box, "-o", made)
    assert code == 0, text
    for name in ("ethanol.data", "in.ethanol", "manifest.json", "model.lmp.pt", "summary.json"):
        assert f"wrote {made / name}" in text
    return made


@needs_lammps
@pytest.mark.usefixtures("plugin")
def test_it_is_tried_in_lammps(exported: Path) -> None:
    summary = read_json(exported / "summary.json")
    assert [found["ranks"] for found in summary["in_lammps"]] == [1, 2]
    assert all(found["holds"] for found in summary["in_lammps"])
    assert summary["in_lammps"][0]["force_difference"] < 1e-9
    assert summary["why_not_in_lammps"] == ""


@needs_lammps
@pytest.mark.usefixtures("plugin")
def test_its_input_runs_and_is_analyzed(exported: Path, tmp_path: Path) -> None:
    """Two commands after the export: `lmp -in in.ethanol`, then `analyze .`"""
    text = (exported / "in.ethanol").read_text()
    script = exported / "in.short"
    script.write_text(text.replace("run             1000", "run             40"))
    program = Path(sysconfig.get_path("scripts")) / "lmp"
    ended = subprocess.run(
        [str(program), "-in", script.name],
        cwd=exported,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    code, said = invoke("analyze", exported, "-o", tmp_path / "report")
    assert code == 0, said
    found = read_json(tmp_path / "report" / "summary.json")["runs"][0]
    assert found["n_atoms"] == 144
    assert found["n_molecules"] == 16
    assert found["duration_ps"] == pytest.approx(0.02)


def test_without_lammps_it_says_so(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    code, text = invoke(
        *("export", saved, "--target", "lammps", "--molecules", 16, "--temperature", 300),
        *("-o", tmp_path / "out"),
    )
    assert code == 0, text
    assert "not tried in LAMMPS: no LAMMPS plugin here: expected" in text
    assert (tmp_path / "out" / "model.lmp.pt").is_file()


def test_a_box_that_the_model_has_not_seen_is_told(
    two_layers: Checkpoint, liquid: Frame, tmp_path: Path
) -> None:
    """As unsure of its forces as they are large, and not."""
    box = tmp_path / "box.xyz"
    write(box, Atoms(liquid.atomic_numbers, liquid.positions, cell=liquid.cell, pbc=True))
    network = deepcopy(two_layers.network)
    for scale, is_told in ((1e-6, False), (1e9, True)):
        assert network.samples is not None
        network.samples.theta_samples.mul_(scale)
        save_checkpoint(tmp_path, replace(two_layers, network=network))
        given = ("--target", "lammps", "--no-certify", "--overwrite", "--system", box)
        code, text = invoke("export", tmp_path, *given, "-o", tmp_path / "out")
        assert code == 0, text
        assert ("the model has seen nothing like this box" in text) == is_told


@pytest.mark.parametrize(("held_out", "is_told"), [(1e-9, True), (1e9, False)])
def test_a_box_unlike_the_held_out_frames_is_told(
    two_layers: Checkpoint, liquid: Frame, tmp_path: Path, held_out: float, is_told: bool
) -> None:
    box = tmp_path / "box.xyz"
    write(box, Atoms(liquid.atomic_numbers, liquid.positions, cell=liquid.cell, pbc=True))
    network = deepcopy(two_layers.network)
    assert network.samples is not None
    network.samples.theta_samples.mul_(1e-6)
    metrics = {"held_out_force_rmse_meV_A": held_out}
    save_checkpoint(tmp_path, replace(two_layers, network=network, metrics=metrics))
    given = ("--target", "lammps", "--no-certify", "--system", box)
    code, text = invoke("export", tmp_path, *given, "-o", tmp_path / "out")
    assert code == 0, text
    assert ("times as unsure here as it is wrong on its held-out frames" in text) == is_told


def test_the_object_of_mliap(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text = invoke("export", saved, "--target", "mliap", "--molecules", 16, "-o", out)
    assert code == 0, text
    script = (out / "in.ethanol").read_text()
    assert "pair_style      mliap unified EXISTS 0\npair_coeff      * * C H O\n" in script
    assert 'Path("in.ethanol")' in (out / "run_mliap.py").read_text()
    assert "not tried in LAMMPS: that needs a LAMMPS with ML-IAP and Python" in text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--target", "lammps", "--platform", "CPU"), "--platform is for the target torchforce"),
        (("--target", "lammps", "--level", "full"), "--level is for the target torchforce"),
        (("--system", "ethanol-liquid"), "--system is for the targets lammps and mliap"),
        (("--target", "lammps", "--system", "ethanol-gas"), "do not see each other"),
        (("--target", "lammps", "--system", "none.xyz"), "none.xyz"),
        (("--target", "lammps", "--molecules", "0"), "molecules"),
    ],
)
def test_refusals(saved: Path, tmp_path: Path, options: tuple[str, ...], sentence: str) -> None:
    code, text = invoke("export", saved, *options, "-o", tmp_path / "out")
    assert code == 2
    assert sentence in text
    assert not (tmp_path / "out").exists()


@needs_lammps
@pytest.mark.usefixtures("plugin")
def test_names_that_lammps_cannot_read(saved: Path, liquid: Frame, tmp_path: Path) -> None:
    folder = tmp_path / "ein $chöner Ordner"
    folder.mkdir()
    box = folder / "my bö'x #1.xyz"
    write(box, Atoms(liquid.atomic_numbers, liquid.positions, cell=liquid.cell, pbc=True))
    made = folder / "made"
    code, text = invoke("export", saved, "--target", "lammps", "--system", box, "-o", made)
    assert code == 0, text
    assert len(read_json(made / "summary.json")["in_lammps"]) == 2
    (script,) = made.glob("in.*")
    lines = script.read_text().replace("run             1000", "run 0").splitlines()
    assert run_lammps(made, lines).code == 0


def test_info_of_what_lammps_reads_and_writes(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "a.lammpstrj").write_text("ITEM: TIMESTEP\n0\n")
    paths = {
        exported / "in.ethanol": "input of LAMMPS",
        exported / "ethanol.data": "data file of LAMMPS",
        tmp_path / "a.lammpstrj": "dump of LAMMPS",
    }
    for path, kind in paths.items():
        code, text = invoke("info", path)
        assert code == 0
        assert kind in text
    # Frames may be called what they like.
    frames = tmp_path / "in.xyz"
    write(frames, Atoms("OH2", np.eye(3)))
    assert "input of LAMMPS" not in invoke("info", frames)[1]


def test_a_system_of_other_elements(saved: Path, tmp_path: Path) -> None:
    write(tmp_path / "argon.xyz", Atoms("Ar2", [[0.0, 0, 0], [4.0, 0, 0]]))
    given = ("--target", "lammps", "--system", tmp_path / "argon.xyz", "-o", tmp_path / "out")
    code, text = invoke("export", saved, *given)
    assert code == 2
    assert "knows the elements H, C, O, found also Ar" in text
    assert not (tmp_path / "out").exists()


def test_info_knows_the_artefact(exported: Path) -> None:
    for path in (exported, exported / "model.lmp.pt"):
        code, text = invoke("info", path)
        assert code == 0
        assert "artefact for LAMMPS" in text
        assert "fisher-mlip lammps 1" in text


@needs_lammps
@pytest.mark.usefixtures("plugin")
def test_build_tells_where_it_is(plugin: Path) -> None:
    code, text = invoke("lammps", "build")
    assert code == 0
    assert f"wrote {plugin / 'fisher_mlipplugin.so'}" in text
    assert f"LAMMPS_PLUGIN_PATH={plugin}" in text


def test_build_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    code, text = invoke("lammps", "build")
    assert code == 2
    assert text.splitlines()[-1].startswith("error: no LAMMPS plugin here: expected")


@needs_lammps
@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("name", ["in.npt", "in.stress"])
def test_examples(exported: Path, tmp_path: Path, name: str) -> None:
    given = ["variable folder index " + str(exported), "variable steps index 20"]
    given += ["variable every index 10", "variable too_uncertain index 100.0"]
    run = run_lammps(tmp_path, [*given, (EXAMPLES / name).read_text()], ranks=2)
    assert run.code == 0, run.error
    rows = run.thermo()
    assert rows["Step"][-1] == 20
    assert np.isfinite(rows["TotEng"]).all()
    if name == "in.stress":
        assert np.allclose(rows["v_pressure"], rows["Press"], rtol=1e-6)
    else:
        assert (rows["v_worst"] > 0.0).all()


@needs_lammps
@pytest.mark.usefixtures("plugin")
def test_an_uncertainty_that_stops_a_run(exported: Path, tmp_path: Path) -> None:
    given = ["variable folder index " + str(exported), "variable steps index 20"]
    given += ["variable every index 5", "variable too_uncertain index 1e-6"]
    run = run_lammps(tmp_path, [*given, (EXAMPLES / "in.npt").read_text()])
    assert run.code == 0, run.error
    assert run.thermo()["Step"][-1] == 5
    assert "Fix halt condition" in run.log


@needs_lammps
@pytest.mark.usefixtures("plugin")
def test_lammps_from_python(exported: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "from_python.py"), str(exported), "--smoke"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    rows = np.array([line.split() for line in ended.stdout.splitlines()[1:]], dtype=np.float64)
    assert rows.shape == (3, 3)
    assert (np.diff(rows[:, 0]) < 0).all()
    assert np.isfinite(rows).all()
    assert np.ptp(rows[:, 1]) > 0.1
