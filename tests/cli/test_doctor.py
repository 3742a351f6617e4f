"""`fisher-mlip doctor`: lines or JSON, exit 1 for a failure."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fisher_mlip import doctor
from fisher_mlip.cli.app import app
from fisher_mlip.doctor import Finding

RUNNER = CliRunner()
FINDINGS = [Finding("torch", "ok", "2.12.1"), Finding("OpenCL [x]", "warning", "no device")]


def found(monkeypatch: pytest.MonkeyPatch, findings: list[Finding]) -> None:
    def diagnose(_: Path) -> list[Finding]:
        return findings

    monkeypatch.setattr(doctor, "diagnose", diagnose)


def test_a_warning_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, FINDINGS)
    result = RUNNER.invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert result.stdout == "ok    torch       2.12.1\nwarn  OpenCL [x]  no device\n"


def test_a_failure_ends_with_exit_code_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, [*FINDINGS, Finding("TorchForce on CPU", "failure", "SIGABRT")])
    assert RUNNER.invoke(app, ["doctor"]).exit_code == 1
    result = RUNNER.invoke(app, ["doctor", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["ok"] is False


def test_the_whole_diagnosis_here() -> None:
    result = RUNNER.invoke(app, ["doctor", "--json"])
    content = json.loads(result.stdout)
    assert (result.exit_code, content["ok"]) == (0, True), content
    subjects = {row["subject"] for row in content["findings"]}
    assert {"TorchForce on CPU", "TorchForce on Reference", "neighbor list"} <= subjects
