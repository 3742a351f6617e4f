"""`lmp` as people start it: it finds the style with nothing set, and nobody else is disturbed."""

import os
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

from fisher_mlip.data.frames import Frame
from fisher_mlip.export.lammps_artefact import LammpsArtefact
from lammps_plugin.entry import _asks_for_style, plugin_folder
from lammps_plugin.toolchain import find_toolchain
from tests.lammps.engine import needs_lammps, start_of_input, thermo_lines, write_data

pytestmark = needs_lammps
SCRIPTS = Path(sysconfig.get_path("scripts"))

ARGON = """units lj
lattice fcc 0.8442
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
mass 1 1.0
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0
fix 1 all nve
run 1
"""


def lmp(folder: Path, name: str, ranks: int = 1, **environment: str) -> tuple[int, str]:
    """Run `lmp -in NAME`, or `mpirun -np 2 lmp -in NAME`, and return its exit code and words."""
    command = [str(SCRIPTS / "lmp"), "-in", name]
    if ranks > 1:
        command = [str(SCRIPTS / "mpirun"), "-np", str(ranks), *command]
    ended = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def write_liquid(folder: Path, artefact: LammpsArtefact, frame: Frame) -> None:
    symbols = write_data(folder, frame)
    lines = [*start_of_input(artefact.path, symbols), *thermo_lines("pe"), "fix 1 all nve"]
    (folder / "in.ethanol").write_text("\n".join([*lines, "timestep 0.0001", "run 2", ""]))


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("ranks", [1, 2])
def test_lmp_finds_the_style_with_nothing_set(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path, ranks: int
) -> None:
    write_liquid(tmp_path, in_float64, tilted_liquid)
    code, text = lmp(tmp_path, "in.ethanol", ranks)
    assert code == 0, text
    assert "fisher_mlip: '" in text
    assert f"on {ranks} procs" in text


def test_who_does_not_use_it_is_not_disturbed(tmp_path: Path) -> None:
    """Nothing is built, nothing is said, where nothing could be built."""
    (tmp_path / "in.argon").write_text(ARGON)
    cache = str(tmp_path / "cache")
    code, text = lmp(tmp_path, "in.argon", XDG_CACHE_HOME=cache, CXX="no-such-compiler")
    assert code == 0
    assert "fisher" not in text
    assert not Path(cache).exists()


@pytest.mark.parametrize("ranks", [1, 2])
def test_who_uses_it_is_told_why_not(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path, ranks: int
) -> None:
    write_liquid(tmp_path, in_float64, tilted_liquid)
    cache = str(tmp_path / "cache")
    environment = {"XDG_CACHE_HOME": cache, "CXX": "no-such-compiler"}
    code, text = lmp(tmp_path, "in.ethanol", ranks, **environment)
    assert code != 0
    told = [line for line in text.splitlines() if line.startswith("fisher-mlip: ")]
    assert len(told) == 1
    assert "expected a C++ compiler (no-such-compiler), found none" in told[0]
    assert "Traceback" not in text


@pytest.mark.usefixtures("plugin")
def test_a_plugin_for_another_torch_says_so(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path, plugin: Path
) -> None:
    """Who names its folder by hand after torch was moved gets a sentence, not an abort."""
    write_liquid(tmp_path, in_float64, tilted_liquid)
    folder = tmp_path / "old"
    folder.mkdir()
    content = (plugin / "fisher_mlipplugin.so").read_bytes()
    torch = str(find_toolchain().torch).encode()
    assert torch + b"/version.py" in content
    gone = torch[:-1] + b"X"
    (folder / "fisher_mlipplugin.so").write_bytes(content.replace(torch, gone))
    script = tmp_path / "in.ethanol"
    script.write_text(f"plugin load {folder}/fisher_mlipplugin.so\n{script.read_text()}")
    code, text = lmp(tmp_path, "in.ethanol", XDG_CACHE_HOME=str(tmp_path), CXX="no-such-compiler")
    assert code != 0
    assert "pair_style fisher_mlip was built for torch" in text
    assert "which is not there" in text


def test_a_plugin_without_its_library_says_so(
    in_float64: LammpsArtefact, tilted_liquid: Frame, tmp_path: Path, plugin: Path
) -> None:
    write_liquid(tmp_path, in_float64, tilted_liquid)
    alone = tmp_path / "fisher_mlipplugin.so"
    alone.write_bytes((plugin / "fisher_mlipplugin.so").read_bytes())
    script = tmp_path / "in.ethanol"
    script.write_text(f"plugin load {alone}\n{script.read_text()}")
    code, text = lmp(tmp_path, "in.ethanol", XDG_CACHE_HOME=str(tmp_path), CXX="no-such-compiler")
    assert code != 0
    assert "pair_style fisher_mlip does not load here" in text


def test_inputs_that_name_the_style(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.a").write_text("# fisher_mlip would be nice\npair_style lj/cut 2.5\n")
    (tmp_path / "in.b").write_text("pair_style hybrid/overlay fisher_mlip zbl 1 2\n")
    (tmp_path / "in.c").write_text("units metal\ninclude in.b\n")
    (tmp_path / "in.d").write_text("include in.d\n")
    asked = {name: _asks_for_style(["-sc", "none", "-in", name]) for name in ("in.a", "in.b")}
    assert asked == {"in.a": False, "in.b": True}
    assert _asks_for_style(["-i", "in.c"])
    assert not _asks_for_style(["-i", "in.d"])
    assert not _asks_for_style(["-in", "none"])
    assert not _asks_for_style(["-h"])


def test_a_long_input_is_read_at_once(tmp_path: Path) -> None:
    (tmp_path / "in.long").write_text("pair_coeff 1 1 1.0 1.0\n" * 100_000)
    start = time.perf_counter()
    assert not _asks_for_style(["-in", str(tmp_path / "in.long")])
    assert time.perf_counter() - start < 2.0


def test_the_entry_point_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("anything")

    monkeypatch.setattr("lammps_plugin.build.built_folder", fail)
    assert not list(Path(plugin_folder()).glob("*plugin.so"))
