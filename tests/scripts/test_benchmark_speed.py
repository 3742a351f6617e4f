"""The speed benchmark without its peers: ratios, lines of fake workers, environments kept whole."""

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
WORKER = """
import json, os, sys
print("a library says something")
job = json.loads(sys.argv[1])
names = ("MALLOC_MMAP_MAX_", "MALLOC_ARENA_MAX", "OMP_NUM_THREADS")
seen = {name: os.environ.get(name) for name in names}
times = {"median": 2.0, "lower_quartile": 1.5, "upper_quartile": 3.0}
print(json.dumps({"us_per_atom_step": times, "steps": job["steps"], "seen": seen}))
"""


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("benchmark_speed")


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return importlib.import_module("peer_environments")


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS / "peers"))
    return importlib.import_module("measuring")


def line(name: str, route: str, allocator: str, median: float, **more: Any) -> dict[str, Any]:
    known = {"name": name, "version": "1", "route": route, "cutoff": 3.0, "artefact": None}
    times = {"us_per_atom_step": {"median": median}}
    return {**known, "allocator": allocator, **times, **more}


def test_ratios_are_to_the_best_peer_of_each_allocator(benchmark: ModuleType) -> None:
    lines = [
        line("nequip", "eager", "stock", 60.0),
        line("mace", "eager", "stock", 90.0),
        line("nequip", "eager", "tuned", 50.0),
        line("mace", "eager", "tuned", 40.0),
        line("mace", "eager", "stock", 1.0, cutoff=5.0),
        {**line("mace", "openmm", "stock", 1.0), "error": "it fell over"},
        line("ours", "python", "stock", 30.0, artefact="exported"),
        line("ours", "python", "tuned", 20.0, artefact="exported"),
        line("ours", "python", "tuned", 20.0, artefact="wide", cutoff=5.0),
    ]
    found = benchmark.ratios(lines)
    assert found["ratio_to_best_peer"] == {
        "exported, python": {"3": {"stock": 2.0, "tuned": 2.0}},
        "wide, python": {"5": {"tuned": None}},
    }
    assert found["best_peer"] == {
        "3": {"stock": "nequip 1, eager", "tuned": "mace 1, eager"},
        "5": {"tuned": None},
    }


@pytest.fixture
def measured(benchmark: ModuleType, tmp_path: Path) -> Any:
    """Measure a worker of this source."""
    options = argparse.Namespace(threads=3, steps=7, warm_up=3)

    def run(source: str, allocator: str) -> dict[str, Any]:
        worker = tmp_path / "worker.py"
        worker.write_text(source)
        one = benchmark.Measurement(
            "fake", "0.1", "eager", 3.0, None, Path(sys.executable), worker, tmp_path
        )
        found: dict[str, Any] = benchmark.measure(one, options, tmp_path / "box.xyz", allocator)
        return found

    return run


def test_a_line_has_what_was_asked_and_what_was_measured(
    measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    found = measured(WORKER, "tuned")
    assert found.pop("load") >= 0.0
    assert found.pop("us_per_atom_step")["median"] == 2.0
    assert found.pop("seen") == {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_ARENA_MAX": None,
        "OMP_NUM_THREADS": "3",
    }
    assert found == {
        "name": "fake",
        "version": "0.1",
        "route": "eager",
        "cutoff": 3.0,
        "artefact": None,
        "threads": 3,
        "allocator": "tuned",
        "steps": 7,
    }


def test_the_stock_allocator_is_stock(measured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")
    assert measured(WORKER, "stock")["seen"]["MALLOC_MMAP_MAX_"] is None


def test_a_worker_that_fails_has_a_line_with_its_error(measured: Any) -> None:
    found = measured("raise RuntimeError('no such model')", "stock")
    assert found["error"] == "exit code 1: RuntimeError: no such model"
    assert "us_per_atom_step" not in found


def test_the_warm_up_is_not_counted(measuring: ModuleType) -> None:
    calls: list[int] = []
    job = measuring.Job("eager", 3.0, 10.0, "box.xyz", "model", steps=4, warm_up=3)
    seconds = measuring.step_seconds(lambda: calls.append(0), job)
    assert (len(calls), len(seconds)) == (7, 4)
    times = measuring.per_atom([1e-6, 2e-6, 3e-6, 4e-6, 100e-6], 2)
    assert times == {"median": 1.5, "lower_quartile": 1.0, "upper_quartile": 2.0}


def test_an_environment_is_made_once_and_whole(
    environments: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    peer = environments.PEERS["mace"]
    made: list[Path] = []

    def failing(folder: Path, requirements: tuple[str, ...]) -> None:
        (folder / "bin").mkdir()
        raise RuntimeError("uv failed: no network")

    monkeypatch.setattr(environments, "_install", failing)
    with pytest.raises(RuntimeError, match="no network"):
        environments.peer_python(peer)
    assert list((tmp_path / "fisher-mlip" / "peers").iterdir()) == []

    monkeypatch.setattr(environments, "_install", lambda folder, _: made.append(folder))
    assert environments.peer_python(peer) == environments.peer_python(peer)
    assert len(made) == 1
