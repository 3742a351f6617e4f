"""A tiny artefact under test, with contexts that all tests of the room share."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fisher_mlip.certificate.checking import Subject, subject_of
from fisher_mlip.cli import app
from fisher_mlip.export import Artefact
from fisher_mlip.model import Checkpoint, save_checkpoint


@pytest.fixture(scope="session")
def subject(artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return subject_of(artefact, [], tmp_path_factory.mktemp("twin"), platform="Reference")


@pytest.fixture(scope="session")
def checkpoint_folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder, checkpoint)
    return folder


@pytest.fixture(scope="session")
def certified(checkpoint_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an artefact that `export` certified; not to be changed."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    words = [
        "export",
        str(checkpoint_folder),
        "--platform",
        "Reference",
        "-o",
        str(folder),
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return folder
