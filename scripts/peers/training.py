"""What the trainers share: the job, the clock, and errors of an ASE calculator.

Runs in the environment of every peer, so it imports numpy, ASE and the standard library alone.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import all_changes
from ase.io import read

CURVE_NAME = "curve.jsonl"
STEPS_NAME = "steps.json"
# The first steps have what later ones do not: caches are filled, code is generated.
FIRST_STEPS = 3


@dataclass(frozen=True)
class TrainingJob:
    """What the driver asks for.

    Attributes:
        task: `train`, `test`, or `time`: a training of a few epochs, for what a step takes.
        training: extended XYZ of `energy` (eV) and `forces` (eV/Å).
        validation: the frames that choose the best epoch.
        test: the frames that the final model is tested on.
        isolated_atoms: extended XYZ of the isolated atoms' energies.
        reference_energies: the same by element, eV, of the elements in the frames.
        cutoff: Å; 0 for the trainer's own.
        batch_size: frames per step.
        network: features, degree, layers and degree of the messages between layers.
        epochs: how many.
        output: absolute folder of all that the training writes.
        settings: what replaces the trainer's settings, by name.
    """

    task: str
    training: str
    validation: str
    test: str
    isolated_atoms: str
    reference_energies: dict[str, float]
    cutoff: float
    batch_size: int
    network: list[int]
    epochs: int
    output: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the training writes."""
        return Path(self.output)


def run_training(tasks: Mapping[str, Callable[[TrainingJob], dict[str, Any]]]) -> None:
    """Do the job of the command line; the last line printed is JSON."""
    job = TrainingJob(**json.loads(sys.argv[1]))
    print("\n" + json.dumps(tasks[job.task](job)))


class Clock:
    """Wall and processor time since the training began, written as the curve at each validation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / CURVE_NAME
        self._wall = self._processor = 0.0
        self._last = 0.0
        self._steps: list[float] = []
        self._validations: list[float] = []
        self.start()

    def start(self) -> None:
        """Start, and forget what was before."""
        self._wall, self._processor = time.monotonic(), time.process_time()
        self._last = self._processor
        self._steps, self._validations = [], []

    def step(self) -> None:
        """Note that a step ended."""
        self._steps.append(self._since_last())

    def validated(self, epoch: int, force_mae: float, **more: Any) -> None:
        """Add a point to the curve.

        Args:
            epoch: passes over the training frames so far.
            force_mae: of a component, over the validation frames, eV/Å.
            more: added to the point.
        """
        self._validations.append(self._since_last())
        row = {
            "seconds": round(time.monotonic() - self._wall, 3),
            "processor_seconds": round(time.process_time() - self._processor, 3),
            "epoch": epoch,
            "validation_force_mae_meV_A": round(1000.0 * force_mae, 3),
        }
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(row | more) + "\n")

    def write_steps(self) -> None:
        """Write the median processor seconds of a step and of a validation."""
        steps = self._steps[FIRST_STEPS:] or self._steps
        write_steps(self.folder, statistics.median(steps), statistics.median(self._validations))

    def _since_last(self) -> float:
        now = time.process_time()
        elapsed, self._last = now - self._last, now
        return elapsed


def write_steps(folder: Path, step_seconds: float, validation_seconds: float) -> None:
    """Write the processor seconds of a step and of a validation."""
    found = {"step_seconds": step_seconds, "validation_seconds": validation_seconds}
    (folder / STEPS_NAME).write_text(json.dumps(found) + "\n")


def calculator_errors(calculator: Any, path: str) -> dict[str, float]:
    """Return the mean absolute errors of an ASE calculator over the frames of a file.

    Returns:
        `force_mae_meV_A`, of a component; `energy_mae_meV`, of a frame.
    """
    forces, energies = [], []
    for atoms in read(path, ":"):
        energy, wanted = atoms.get_potential_energy(), atoms.get_forces()
        calculator.calculate(atoms, ["energy", "forces"], all_changes)
        forces.append(np.abs(calculator.results["forces"] - wanted).mean())
        energies.append(abs(float(calculator.results["energy"]) - energy))
    return {
        "force_mae_meV_A": round(1000.0 * float(np.mean(forces)), 3),
        "energy_mae_meV": round(1000.0 * float(np.mean(energies)), 3),
    }
