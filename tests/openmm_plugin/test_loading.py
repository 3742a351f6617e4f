"""openmm-torch is loaded without noise, and only its own notice is dropped."""

import logging
import subprocess
import sys

import pytest

from openmm_plugin import loading


def test_loading_prints_nothing() -> None:
    code = f"import runpy; runpy.run_path({loading.__file__!r})['load_openmmtorch']().TorchForce"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_other_notices_pass(caplog: pytest.LogCaptureFixture) -> None:
    loading.load_openmmtorch()
    logging.getLogger().warning("importing 'simtk.openmm' is deprecated")
    assert "simtk" in caplog.text


def test_plugins_that_came_too_early_are_loaded_late(monkeypatch: pytest.MonkeyPatch) -> None:
    import openmm

    place = "/opt/OpenMM.libs/lib/plugins/libOpenMMTorchCUDA.so"
    failures = (
        f"Error loading library {place}: libtorch.so: cannot open shared object file",
        "Error loading library /opt/plugins/libOther.so: no such file",
    )
    loaded: list[str] = []
    monkeypatch.setattr(openmm.Platform, "getPluginLoadFailures", lambda: failures)
    monkeypatch.setattr(openmm.Platform, "loadPluginLibrary", loaded.append)
    loading._load_late_plugins.__wrapped__()
    assert loaded == [place]
