"""What is shipped: every data file is in the wheel, and the version is one."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from fisher_mlip import __version__

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def files_left_out(package: Path, patterns: list[str]) -> set[Path]:
    """Return the files of a package that neither are modules nor fit a pattern."""
    shipped = {path for pattern in [*patterns, "**/*.py"] for path in package.glob(pattern)}
    here = {path for path in package.rglob("*") if path.is_file()}
    return {path for path in here - shipped if "__pycache__" not in path.parts}


@pytest.mark.parametrize("package", ["fisher_mlip", "openmm_plugin", "lammps_plugin"])
def test_every_data_file_is_shipped(package: str) -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"][package]
    assert files_left_out(ROOT / package, patterns) == set()
    assert files_left_out(ROOT / package, [])


def test_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert PROJECT["project"]["version"] == __version__ == str(citation["version"])
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
