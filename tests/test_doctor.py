"""The doctor: a wrong torch, an abort and wrong numbers are told in words.

That the real checks pass in this environment is tested in cli/test_doctor.py.
"""

import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from fisher_mlip import doctor
from fisher_mlip.doctor import Finding, Outcome

WORKING = {
    "acellera-openmmtorch-cpu": "1.10",
    "torch": "2.12.1",
    "vesin-torch": "0.6.2",
    "e3nn": "0.6.0",
}


def failures(versions: dict[str, str]) -> list[str]:
    findings = doctor.pair_findings(versions.get)
    return [f"{f.subject}: {f.detail}" for f in findings if f.status == "failure"]


def write_probe(folder: Path, code: str) -> Path:
    probe = folder / "probe.py"
    probe.write_text(code)
    return probe


def test_known_pairs() -> None:
    assert failures(WORKING) == []
    (line,) = [line for line in failures(WORKING | {"torch": "2.13.0"}) if "acellera" in line]
    assert "needs torch >=2.10,<2.13" in line
    assert "aborts" in line
    official = {"openmmtorch": "1.5", "torch": "2.9.1"}
    assert failures(official) == []
    assert failures(official | {"torch": "2.10.0"})


def test_two_providers_and_none() -> None:
    assert "overwrite each other" in failures(WORKING | {"openmmtorch": "1.5"})[0]
    assert "missing" in failures({"torch": "2.12.1"})[0]


def test_an_untried_version_is_a_warning() -> None:
    findings = doctor.pair_findings((WORKING | {"acellera-openmmtorch-cpu": "1.11"}).get)
    assert findings[0].status == "warning"
    assert "not tried" in findings[0].detail


def test_openmm_ml_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda name: None)
    assert doctor.openmm_ml_findings() == []
    monkeypatch.setattr(doctor, "installed_version", lambda name: "1.8")
    assert [found.status for found in doctor.openmm_ml_findings()] == ["ok"]
    monkeypatch.setattr(doctor, "entry_points", lambda group: [])
    (found,) = doctor.openmm_ml_findings()
    assert found.status == "warning"
    assert "does not know fisher-mlip" in found.detail


@pytest.mark.parametrize(
    ("found", "status"),
    [("2.12.1+cu130", "ok"), ("2.13.0", "failure"), ("2.9.0", "failure"), (None, "failure")],
)
def test_requirements(found: str | None, status: str) -> None:
    assert doctor.requirement_finding(Requirement("torch>=2.10,<2.13"), found).status == status


def test_own_requirements_are_met_here() -> None:
    findings = doctor.requirement_findings()
    assert {"torch", "openmm"} <= {finding.subject for finding in findings}
    assert doctor.is_healthy(findings)


@pytest.mark.parametrize(
    ("platform", "native_failure", "status", "words"),
    [
        ("CPU", "", "failure", "SIGABRT"),
        ("CUDA", "", "warning", "SIGABRT"),
        ("CUDA", "no device", "warning", "the platform itself does not run: no device"),
    ],
)
def test_a_platform_that_fails(
    monkeypatch: pytest.MonkeyPatch, platform: str, native_failure: str, status: str, words: str
) -> None:
    right = {"energy_error": 0.0, "force_error": 0.0, "tolerance": 1e-4}
    outcomes = {
        ("torch-force", platform): Outcome({}, "SIGABRT"),
        ("native-force", platform): Outcome(right, native_failure),
    }
    monkeypatch.setattr(doctor, "run_check", lambda *check: outcomes[check])
    finding = doctor.platform_finding(platform)
    assert (finding.status, finding.detail) == (status, words)


def test_python_force_computes_here_and_wrong_forces_are_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert doctor.python_force_finding() == Finding(
        "PythonForce on CPU", "ok", "energy and forces right"
    )
    wrong = {"energy_error": 0.0, "force_error": 0.5, "tolerance": 1e-4}
    monkeypatch.setattr(doctor, "run_check", lambda *check: Outcome(wrong))
    finding = doctor.python_force_finding()
    assert finding.status == "failure"
    assert "wrong values" in finding.detail


def test_wrong_neighbors_are_a_failure() -> None:
    assert doctor.neighbor_finding(Outcome({"error": 1e-15})).status == "ok"
    assert doctor.neighbor_finding(Outcome({"error": 0.1})).status == "failure"
    assert doctor.neighbor_finding(Outcome({"error": float("nan")})).status == "failure"


@pytest.mark.parametrize("error", [0.01, float("nan"), float("inf")])
def test_wrong_numbers_are_a_failure(error: float) -> None:
    facts = {"energy_error": 0.0, "force_error": 1e-7, "tolerance": 1e-4}
    assert doctor.accuracy_failure(Outcome(facts)) == ""
    assert "wrong values" in doctor.accuracy_failure(Outcome(facts | {"force_error": error}))
    assert "wrong values" in doctor.accuracy_failure(Outcome(facts | {"energy_error": error}))


def test_an_abort_becomes_words(tmp_path: Path) -> None:
    message = "  what():  PyObjectSlot INTERNAL ASSERT FAILED\\nframe #0: c10::Error::Error"
    code = f"import os, sys\nprint({message!r}.replace(chr(92) + 'n', chr(10)), file=sys.stderr)\n"
    outcome = doctor.run_check("x", probe=write_probe(tmp_path, code + "os.abort()"))
    assert outcome.failure == (
        "the process died of SIGABRT: what():  PyObjectSlot INTERNAL ASSERT FAILED"
    )


def test_an_exception_and_silence_become_words(tmp_path: Path) -> None:
    raising = write_probe(tmp_path, "import sys\nsys.exit('ImportError: no libtorch.so')")
    assert doctor.run_check("x", probe=raising).failure == "ImportError: no libtorch.so"
    silent = write_probe(tmp_path, "raise SystemExit(1)")
    assert doctor.run_check("x", probe=silent).failure == "it said nothing"


def test_a_check_that_hangs_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PROBE_SECONDS", 0.5)
    outcome = doctor.run_check("x", probe=write_probe(tmp_path, "import time\ntime.sleep(60)"))
    assert "no answer" in outcome.failure


def test_openmm_without_a_needed_platform_and_with_lost_plugins() -> None:
    lost = "Error loading library /x/libOpenMMCUDA.so: libcuda.so.1: cannot open"
    facts = {"platforms": ["Reference"], "plugin_failures": [lost], "python_force": False}
    platforms, python_force, plugins = doctor.openmm_findings(Outcome(facts))
    assert (platforms.status, platforms.detail) == ("failure", "without CPU")
    assert python_force.status == "failure"
    assert plugins.detail == "libcuda.so.1: cannot open (not loaded: OpenMMCUDA)"


def test_torch_that_does_not_import_is_a_failure() -> None:
    assert doctor.torch_finding(Outcome({}, "ImportError: libc10.so")).status == "failure"


def test_json_holds_the_verdict() -> None:
    findings = [Finding("a", "ok", "1"), Finding("b", "warning", "2")]
    assert json.loads(doctor.as_json(findings))["ok"] is True
    assert json.loads(doctor.as_json([*findings, Finding("c", "failure", "3")]))["ok"] is False


def test_the_telling_line_of_a_real_mismatch() -> None:
    """As printed by openmm-torch 1.10 under torch 2.13.0."""
    stderr = """\
Warning: importing 'simtk.openmm' is deprecated.  Import 'openmm' instead.
OpenMMException: interpreter INTERNAL ASSERT FAILED at "PyObjectSlot.h":30, please report a bug
Exception raised from load_pyobj_interpreter at PyObjectSlot.h:30 (most recent call first):
frame #0: c10::Error::Error(c10::SourceLocation, std::string) + 0x9d (0x7f3b in libc10.so)
frame #27: _start + 0x21 (0x555a4244f081 in python)
"""
    assert doctor.telling_line(stderr).startswith("OpenMMException: interpreter INTERNAL ASSERT")
