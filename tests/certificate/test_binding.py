"""A certificate and its artefact hold each other; what is changed is noticed and told."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fisher_mlip.certificate import Certificate, Verdict, read_certificate
from fisher_mlip.certificate.binding import own_certificate, told_of
from fisher_mlip.cli import app
from fisher_mlip.data import Frames, write_frames
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, load_artefact, read_manifest
from fisher_mlip.export.certification import (
    CertificationWarning,
    PresentConditions,
    certification_note,
    warn_of_differences,
)
from fisher_mlip.export.parity import artefact_forces


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture
def copied(certified: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(certified, tmp_path / "model"))


@pytest.fixture
def failing(certified: Path, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """A certificate with a failed row, which the commands are given instead of measuring."""
    found = read_certificate(certified / "certificate.json")
    bad = found.rows[1].model_copy(update={"figure": 1e-4, "verdict": Verdict.FAILED})
    made = found.model_copy(update={"rows": [found.rows[0], bad], "passed": False})
    monkeypatch.setattr("fisher_mlip.certificate.certify", lambda *_, **__: made)
    return made


def test_export_binds_what_it_found(certified: Path, artefact: Artefact) -> None:
    inside = read_manifest(certified)
    assert json.loads((certified / "manifest.json").read_text()) == json.loads(
        inside.model_dump_json()
    )
    loaded = load_artefact(certified)
    certificate = own_certificate(loaded)
    assert certificate is not None
    assert certificate.passed
    assert certificate.checkpoint
    assert certificate.weights_hash == inside.weights_hash
    assert inside.certified == certificate.conditions
    assert inside.certified.platform == "Reference"
    assert inside.certified.versions["torch"] == torch.__version__
    summary = json.loads((certified / "summary.json").read_text())
    assert summary["certificate"] == inside.certificate_hash
    names = {row.name for row in certificate.rows}
    assert {"gradient", "jacobian asymmetry", "virial", "parity: forces", "drift: float32"} <= names


def test_the_script_is_the_same_after_its_manifest_was_rewritten(
    certified: Path, artefact: Artefact, ethanol_frames: Frames
) -> None:
    energy, forces = artefact_forces(load_artefact(certified), ethanol_frames[0])
    expected_energy, expected = artefact_forces(artefact, ethanol_frames[0])
    assert energy == pytest.approx(expected_energy, abs=1e-12)
    np.testing.assert_allclose(forces, expected, atol=1e-12)


def test_an_artefact_without_a_certificate_loads(artefact: Artefact) -> None:
    assert artefact.manifest.certified is None
    assert own_certificate(artefact) is None
    note = certification_note(artefact, PresentConditions())
    assert note is not None
    assert "has no certificate" in note
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_differences(artefact, PresentConditions(torch="1.0"))


def test_an_older_manifest_loads(artefact: Artefact) -> None:
    content = json.loads(artefact.manifest.model_dump_json())
    del content["certificate_hash"], content["certified"]
    assert type(artefact.manifest).model_validate(content) == artefact.manifest


@pytest.mark.parametrize(
    ("present", "words"),
    [
        (PresentConditions(torch="1.0"), "torch 1.0 instead of"),
        (PresentConditions(device="NVIDIA X"), "device NVIDIA X instead of cpu"),
        (PresentConditions(kernel="torchscript"), "kernel torchscript instead of fused"),
        (PresentConditions(platform="CPU"), "platform CPU instead of Reference"),
    ],
)
def test_other_conditions_are_told(certified: Path, present: PresentConditions, words: str) -> None:
    loaded = load_artefact(certified)
    note = certification_note(loaded, present)
    assert note is not None
    assert words in note
    assert note.count(" instead of ") == 1
    with pytest.warns(CertificationWarning, match=words):
        warn_of_differences(loaded, present)


def test_the_certified_conditions_are_not_told(certified: Path) -> None:
    same = PresentConditions("cpu", "fused", torch.__version__, "Reference")
    assert certification_note(load_artefact(certified), same) is None


def _forge(folder: Path) -> None:
    path = folder / "certificate.json"
    path.write_text(path.read_text().replace('"seconds": ', '"seconds": 1'))


def _exchange_weight(folder: Path) -> None:
    """Change a weight's bytes, with the archive whole and the manifest as it was."""
    import io
    import zipfile

    model, content = folder / "model.pt", io.BytesIO()
    with zipfile.ZipFile(model) as source, zipfile.ZipFile(content, "w") as made:
        weights = [entry for entry in source.infolist() if "/data/" in entry.filename]
        largest = max(weights, key=lambda entry: entry.file_size)
        for entry in source.infolist():
            data = bytearray(source.read(entry))
            if entry is largest:
                data[0] ^= 1
            made.writestr(entry.filename, bytes(data))
    model.write_bytes(content.getvalue())


@pytest.mark.parametrize(
    ("change", "words"),
    [(_forge, "is not the certificate of"), (_exchange_weight, "is of another model.pt")],
)
def test_what_was_changed_is_noticed(
    copied: Path, change: Callable[[Path], None], words: str
) -> None:
    assert told_of(load_artefact(copied)).startswith("came with: passed on ")
    change(copied)
    with pytest.raises(InputError, match=words):
        own_certificate(load_artefact(copied))
    code, output = run("info", copied)
    assert code == 0
    assert words in output


def _lose(folder: Path) -> None:
    (folder / "certificate.json").unlink()


def _bury(folder: Path) -> None:
    _lose(folder)
    (folder / "certificate.json").mkdir()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_forge, "is not the certificate of"),
        (_exchange_weight, "is of another model.pt"),
        (_lose, "is not beside it"),
        (_bury, "found no file"),
    ],
)
def test_what_was_changed_is_told_before_a_run(
    copied: Path, change: Callable[[Path], None], words: str
) -> None:
    change(copied)
    note = certification_note(load_artefact(copied), PresentConditions())
    assert note is not None
    assert words in note


def test_info_of_a_certificate(certified: Path) -> None:
    code, output = run("info", "--json", certified / "certificate.json")
    assert code == 0
    facts = json.loads(output)
    assert facts["kind"] == "certificate"
    assert facts["passed"] is True
    assert facts["failed"] == []
    assert facts["conditions"]["platform"] == "Reference"
    assert facts["figures"]["virial (crystal)"].startswith("passed: ")


def test_export_refuses_what_fails(
    checkpoint_folder: Path, tmp_path: Path, failing: Certificate
) -> None:
    code, output = run("export", checkpoint_folder, "-o", tmp_path / "out")
    assert code == 5
    assert f"'{failing.rows[1].name}' on the molecule" in output
    assert "expected at most 1e-06 relative, found 0.0001 relative" in output
    assert list(tmp_path.iterdir()) == []


def test_verify_leaves_with_5_and_binds_nothing_that_fails(
    copied: Path, tmp_path: Path, failing: Certificate
) -> None:
    before = (copied / "certificate.json").read_bytes()
    code, output = run("verify", copied, "--bind", "-o", tmp_path / "found.json")
    assert code == 5
    assert "fails its certificate" in output
    assert "came with: passed" in output
    assert read_certificate(tmp_path / "found.json") == failing
    assert (copied / "certificate.json").read_bytes() == before


def test_verify_refuses_what_cannot_be_checked(
    certified: Path, checkpoint_folder: Path, tmp_path: Path, ethanol_frames: Frames
) -> None:
    frame = ethanol_frames[0]
    numbers = np.where(frame.atomic_numbers == 8, 16, frame.atomic_numbers)
    strange = Frames((frame.relabelled(atomic_numbers=numbers, energy=None),))
    write_frames(tmp_path / "sulfur.xyz", strange)
    assert "found Z=16" in run("verify", certified, "--on", tmp_path / "sulfur.xyz")[1]
    nowhere, twice = frame.positions.copy(), frame.positions.copy()
    nowhere[3, 1], twice[5] = np.nan, twice[2]
    for name, positions, message in (
        ("nan", nowhere, "expected finite numbers as positions of frame 0"),
        ("twice", twice, "on top of each other, 0.000 Å apart"),
    ):
        path = tmp_path / f"{name}.xyz"
        moved = frame.relabelled(positions=positions, energy=None, forces=None)
        write_frames(path, Frames((moved,)))
        for command in (("verify", certified, "--on"), ("export", checkpoint_folder, "--frames")):
            code, output = run(*command, path)
            assert (code, message in " ".join(output.split())) == (2, True), output
    for words, message in (
        (("--platform", "Abacus"), "expected a platform of"),
        (("--route", "telepathy"), "expected a route of"),
    ):
        code, output = run("verify", certified, *words)
        assert code == 2
        assert message in output
    code, output = run("verify", tmp_path)
    assert code == 2
    assert "expected an exported model" in output


def test_a_manifest_beside_the_model_that_says_other_things_is_told(copied: Path) -> None:
    path = copied / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"cutoff": 9.0}))
    note = certification_note(load_artefact(copied), PresentConditions())
    assert note is not None
    assert "is not the manifest inside 'model.pt', which counts: they differ in 'cutoff'" in note
    path.unlink()
    note = certification_note(load_artefact(copied), PresentConditions(platform="Reference"))
    assert note is None or "manifest" not in note
