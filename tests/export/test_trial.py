"""A kernel is compiled in a process of its own, whose end is not that of the export.

That it works is the fixture `compiled`, which goes this way.
"""

import subprocess
from pathlib import Path

import pytest

from fisher_mlip.export import Artefact, write_artefact
from fisher_mlip.export.trial import compile_apart
from fisher_mlip.model import Checkpoint, save_checkpoint


@pytest.fixture
def fresh(checkpoint: Checkpoint, tmp_path: Path) -> Artefact:
    folder = tmp_path / "fresh"
    folder.mkdir()
    return write_artefact(folder, checkpoint)


def names_beside(artefact: Artefact) -> list[str]:
    return sorted(path.name for path in artefact.path.parent.iterdir())


def test_a_machine_without_compiler_goes_without(
    fresh: Artefact, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path / "from", checkpoint)
    monkeypatch.setenv("PATH", "")
    parity, why = compile_apart(fresh, tmp_path / "from", None, seed=0)
    assert parity is None
    assert "no C++ compiler" in why
    assert names_beside(fresh) == ["manifest.json", "model.pt"]


def test_a_process_that_fails_is_told_by_its_last_line(fresh: Artefact, tmp_path: Path) -> None:
    parity, why = compile_apart(fresh, tmp_path / "nowhere", None, seed=0)
    assert parity is None
    assert "failed with exit code 1" in why
    assert "nowhere" in why
    assert names_beside(fresh) == ["manifest.json", "model.pt"]


def test_a_process_that_a_fault_ends_leaves_no_kernel(
    fresh: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(command: list[str], **kwargs: object) -> subprocess.CompletedProcess[str]:
        (Path(command[3]) / "model.pt2").write_bytes(b"half")
        words = ["sh", "-c", "kill -SEGV $$"]
        return subprocess.CompletedProcess(words, subprocess.call(words), "", "")

    monkeypatch.setattr("fisher_mlip.export.trial.subprocess.run", fault)
    parity, why = compile_apart(fresh, tmp_path, None, seed=0)
    assert parity is None
    assert "was ended by SIGSEGV" in why
    assert names_beside(fresh) == ["manifest.json", "model.pt"]
