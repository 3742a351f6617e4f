"""The micro-runs' rows, on series whose truth is known and on runs that do not keep energy."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from fisher_mlip.certificate import Verdict
from fisher_mlip.certificate.checking import RELAXING_ITERATIONS, Subject
from fisher_mlip.certificate.engine import Engine
from fisher_mlip.certificate.microrun import (
    Runs,
    drift_row,
    is_sane,
    micro_runs,
    noise_row,
    order_row,
    run_rows,
    thermal_velocities,
)
from fisher_mlip.data.frames import Frame
from fisher_mlip.export import load_artefact, write_artefact
from fisher_mlip.export.manifest import MANIFEST_NAME, MODEL_NAME
from fisher_mlip.export.openmm_module import OpenMMModule
from fisher_mlip.export.torchscript import save_script
from fisher_mlip.model import Checkpoint

STEPS = 100


class TooLargeForces(OpenMMModule):
    """Its energy is right, its forces are one percent too large."""

    def forward(
        self, positions: Tensor, second: Tensor | None = None, third: Tensor | None = None
    ) -> Tensor:
        energy = self.atomic_energies(positions, None, second).sum()
        # Through a number: freezing a script drops its detach().
        return energy + 0.01 * (energy - float(energy))


@pytest.fixture(scope="module")
def start(subject: Subject) -> Frame:
    frame = subject.double.relaxed(subject.molecule, RELAXING_ITERATIONS)
    assert is_sane(subject.double(frame)[1])
    return frame


def synthetic() -> Runs:
    """Nine atoms on a bounded oscillation of 0.1 meV/atom, with an error of second order."""
    time = np.arange(801) * 0.5
    wave = 1e-4 * 9 * np.sin(time / 2.0)
    return Runs(9, double=wave, half=wave / 4.0, single=wave)


def test_a_run_passes(subject: Subject, start: Frame) -> None:
    runs = micro_runs(subject.double, subject.single, start, STEPS, 0)
    rows = run_rows(runs, "molecule", 0)
    assert {row.verdict for row in rows} == {Verdict.PASSED}
    assert [row.name for row in rows][2:] == ["order of the energy error", "noise: float32"]


def test_sabotage_forces_too_large_do_not_keep_energy(
    start: Frame, subject: Subject, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    manifest = write_artefact(tmp_path, checkpoint, "float64").manifest
    module = TooLargeForces(copy.deepcopy(checkpoint.network).eval().requires_grad_(False))
    extra = {MANIFEST_NAME: manifest.model_dump_json()}
    save_script(module.eval(), tmp_path / MODEL_NAME, extra)
    wrong = Engine(load_artefact(tmp_path), platform="Reference", kernel="torchscript")
    runs = micro_runs(wrong, subject.single, start, STEPS, 0)
    assert order_row(runs, "molecule").verdict is Verdict.FAILED
    assert noise_row(runs, "molecule").figure != 0.0


def test_a_drift_is_told_from_a_fluctuation() -> None:
    runs = synthetic()
    assert drift_row(runs, runs.double, "float64", "x", 0).verdict is Verdict.PASSED
    # 0.4 ps at 3 meV/atom/ps: 1.2 meV/atom, twelve times the oscillation.
    drifting = runs.double + 9 * 3e-3 * runs.time_ps
    row = drift_row(runs, drifting, "float64", "x", 0)
    assert row.verdict is Verdict.FAILED
    assert row.figure == pytest.approx(3.0, rel=0.2)


def test_an_error_of_first_order_fails() -> None:
    runs = synthetic()
    assert order_row(runs, "x").verdict is Verdict.PASSED
    assert order_row(replace(runs, half=runs.double / 2.0), "x").verdict is Verdict.FAILED


def test_a_run_that_blew_up_fails() -> None:
    runs = synthetic()
    gone = runs.double.copy()
    gone[500:] = np.nan
    broken = replace(runs, double=gone)
    assert {row.verdict for row in run_rows(broken, "x", 0)} >= {Verdict.FAILED}
    assert order_row(broken, "x").verdict is Verdict.FAILED
    assert noise_row(broken, "x").figure is None


def test_noise_is_a_random_walks() -> None:
    runs = synthetic()
    generator = np.random.default_rng(0)
    # meV/atom a step; after 1 ps, 2000 steps: 0.0447.
    steps = 1e-3 * generator.normal(size=len(runs.double))
    walk = replace(runs, single=runs.double + np.cumsum(steps) * 9e-3)
    assert noise_row(walk, "x").figure == pytest.approx(1e-3 * np.sqrt(2000), rel=0.7)
    white = replace(runs, single=runs.double + steps * 9e-3)
    assert (noise_row(white, "x").figure or 0.0) < 0.2 * 1e-3 * np.sqrt(2000)
    large = replace(runs, single=runs.double + 100 * np.cumsum(steps) * 9e-3)
    assert noise_row(large, "x").verdict is Verdict.FAILED


def test_velocities_are_thermal_and_at_rest(subject: Subject) -> None:
    from fisher_mlip.certificate.engine import atomic_masses

    frame = subject.molecule
    masses = atomic_masses(frame.atomic_numbers)
    drawn = [thermal_velocities(frame, seed) for seed in range(200)]
    assert np.abs(masses @ drawn[0]).max() < 1e-12
    # (3N - 3) k_B T / 2 with k_B T = 25.85 meV at 300 K, in eV; 103.6427 eV fs^2 / amu / Å^2.
    kinetic = np.mean([0.5 * 103.6427 * (masses[:, None] * v**2).sum() for v in drawn])
    assert kinetic == pytest.approx(1.5 * (frame.n_atoms - 1) * 0.025852, rel=0.05)
