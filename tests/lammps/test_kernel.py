"""Which kernel LAMMPS runs: the fused operators where it can, the script where it is asked to."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from fisher_mlip.data.frames import FloatArray, Frame
from fisher_mlip.export.fusing import why_not_fused
from fisher_mlip.export.lammps_artefact import LammpsArtefact, write_lammps_artefact
from fisher_mlip.lammps.launching import lammps_command, lammps_environment
from fisher_mlip.model import Checkpoint
from tests.lammps.engine import (
    LammpsRun,
    needs_lammps,
    run_lammps,
    start_of_input,
    thermo_lines,
    write_data,
)

pytestmark = needs_lammps

END = [
    "fix 1 all nve",
    "run 0",
    "write_dump all custom dump id fx fy fz modify sort id format float %.17g",
]


@pytest.fixture(autouse=True)
def operators(in_float64: LammpsArtefact) -> None:
    why_not = why_not_fused(in_float64.manifest)
    if why_not:
        pytest.skip(why_not)


def run(folder: Path, artefact: LammpsArtefact, frame: Frame, *options: str) -> LammpsRun:
    symbols = write_data(folder, frame)
    return run_lammps(folder, [*start_of_input(artefact.path, symbols, *options), *END])


def forces(found: LammpsRun) -> FloatArray:
    assert found.code == 0, found.error
    return found.dump("dump")[:, 1:]


def test_both_kernels_are_one_model(
    tmp_path: Path, in_float64: LammpsArtefact, tilted_liquid: Frame
) -> None:
    made = {}
    for options in ((), ("kernel", "torchscript"), ("kernel", "fused")):
        found = run(tmp_path, in_float64, tilted_liquid, *options)
        kernel = options[-1] if options else "fused"
        assert f"kernel {kernel}, weights" in found.log
        made[options] = forces(found)
    default, plain, asked = made.values()
    assert np.array_equal(default, asked)
    difference = np.abs(default - plain).max()
    # Other bits: it was not the same code twice.
    assert 0.0 < difference < 1e-9 * np.abs(plain).max()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch sees")
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("kernel", ["torchscript", "fused"])
def test_a_gpu_gives_what_the_cpu_gives(
    tmp_path: Path, for_lammps: LammpsArtefact, tilted_liquid: Frame, kernel: str, ranks: int
) -> None:
    """Forces, energy, pressure and uncertainty; the ranks share the GPU."""
    dtype = for_lammps.manifest.dtype
    on_cpu = everything(tmp_path, for_lammps, tilted_liquid, 1, "kernel", "torchscript")
    on_gpu = everything(
        tmp_path, for_lammps, tilted_liquid, ranks, "device", "cuda", "kernel", kernel
    )
    assert f"{dtype}, cuda:0" in (tmp_path / "in.test.log").read_text()
    tolerance = {"float64": 1e-9, "float32": 1e-4}[dtype]
    for name, expected in on_cpu.items():
        scale = np.abs(expected).max()
        assert np.abs(on_gpu[name] - expected).max() <= tolerance * scale, name
        assert np.abs(1.001 * on_gpu[name] - expected).max() > tolerance * scale, name


def everything(
    folder: Path, artefact: LammpsArtefact, frame: Frame, ranks: int, *options: str
) -> dict[str, FloatArray]:
    """Return what comes out of LAMMPS: by atom, by component, and one number."""
    symbols = write_data(folder, frame)
    lines = [
        *start_of_input(artefact.path, symbols, *options),
        "fix u all pair 1 fisher_mlip uncertainty 1",
        *thermo_lines("pe", "pxx", "pyy", "pzz", "pxy", "pxz", "pyz"),
        "fix 1 all nve",
        "run 0",
        "write_dump all custom dump id fx fy fz f_u modify sort id format float %.17g",
    ]
    found = run_lammps(folder, lines, ranks=ranks)
    assert found.code == 0, found.error
    rows, thermo = found.dump("dump"), found.thermo()
    pressure = np.array([thermo[name] for name in ("Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz")])
    return {
        "forces": rows[:, 1:4],
        "uncertainty": rows[:, 4],
        "energy": thermo["PotEng"],
        "pressure": pressure,
    }


def test_a_model_exported_without_them(
    tmp_path: Path,
    two_layers: Checkpoint,
    liquid: Frame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fisher_mlip.export.artefact.why_not_fused", lambda _: "no compiler")
    (tmp_path / "model").mkdir()
    artefact = write_lammps_artefact(tmp_path / "model", two_layers, "float64")
    found = run(tmp_path, artefact, liquid)
    assert found.code == 0, found.error
    assert "kernel torchscript (the model was exported without: export it again)" in found.log
    refused = run(tmp_path, artefact, liquid, "kernel", "fused")
    assert refused.code != 0
    assert "'kernel fused' cannot be with" in refused.error


def test_operators_that_are_gone(
    tmp_path: Path, in_float64: LammpsArtefact, liquid: Frame, plugin: Path
) -> None:
    """A cache that was cleaned: the path of the library is in the plugin."""
    library = plugin / "libfisher_mlip_pair.so"
    content = library.read_bytes()
    place = content.index(b"libfisher_mlip_fused.so")
    broken = tmp_path / "plugin"
    broken.mkdir()
    for file in plugin.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    changed = content[:place] + b"x" + content[place + 1 :]
    (broken / library.name).write_bytes(changed)
    symbols = write_data(tmp_path, liquid)
    script = tmp_path / "in.test"
    script.write_text("\n".join([*start_of_input(in_float64.path, symbols), *END, ""]))
    ended = subprocess.run(
        lammps_command(script, tmp_path / "log", 1),
        cwd=tmp_path,
        env={**os.environ, **lammps_environment(broken, 1)},
        capture_output=True,
        text=True,
        check=False,
    )
    log = (tmp_path / "log").read_text()
    assert ended.returncode == 0, log
    assert "kernel torchscript (the fused operators are not there:" in log
