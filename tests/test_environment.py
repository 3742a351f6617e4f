"""`scripts/environment.sh` knows an installed copy from this checkout."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def is_this_checkout(environment: Path) -> bool:
    script = f'source {ROOT}/scripts/environment.sh; venv="{environment}"; is_this_checkout'
    return subprocess.run(["bash", "-c", script], check=False).returncode == 0


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with nothing in it."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    return tmp_path / "venv"


def test_a_copy_is_told_from_the_checkout(environment: Path) -> None:
    assert not is_this_checkout(environment), "it is not installed"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / version / "site-packages"
    (packages / "editable.pth").write_text(f"{ROOT}\n")
    assert is_this_checkout(environment)
    (packages / "fisher_mlip").mkdir()
    (packages / "fisher_mlip" / "__init__.py").touch()
    assert not is_this_checkout(environment)
