"""The mdtraj example agrees with the analysis room, and runs from nothing."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "mdtraj_analysis.py"


def run_example(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("breaks", "count"), [({1: 12}, 1), ({}, 0)])
def test_finds_the_break_that_was_put_in(
    make_run: Callable[..., Path], tmp_path: Path, breaks: dict[int, int], count: int
) -> None:
    done = run_example(str(make_run(breaks=breaks, segments=2)), "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "summary.json").read_text())["H-O"]
    assert found["bonds_off"] == count
    assert found["first_off_ps"] == (pytest.approx(1.3) if count else None)
    assert found["mean_A"] == pytest.approx(0.96, abs=0.02)


def test_smoke(tmp_path: Path) -> None:
    done = run_example("--smoke", "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found["frames"] == 20
    assert found["H-O"]["mean_A"] == pytest.approx(0.9572, abs=0.03)
    assert (tmp_path / "out" / "mdtraj_analysis.png").is_file()


def test_needs_a_run(tmp_path: Path) -> None:
    done = run_example(str(tmp_path), "-o", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "expected a run folder with a trajectory" in done.stderr
