"""A model finetuned on too little: a few ethanols of OPLS-AA, hardly moved; exported, to be run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fisher_mlip.config import HealConfig, SimulateConfig, WatchConfig
from fisher_mlip.data import Frame, Frames
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions
from fisher_mlip.data.labeling import label_frames
from fisher_mlip.data.opls_calculator import OplsEthanolCalculator
from fisher_mlip.export import Artefact, write_artefact
from fisher_mlip.fisher import Options, finetune, save_solution
from fisher_mlip.model import Checkpoint
from fisher_mlip.products import write_summary

MakeConfig = Callable[..., SimulateConfig]


@dataclass(frozen=True)
class Poor:
    """A model that has seen too little.

    Attributes:
        checkpoint: its finetuned folder.
        artefact: its export, whose summary names that folder.
    """

    checkpoint: Path
    artefact: Artefact


def opls_frames(n_frames: int, spread: float, seed: int) -> Frames:
    """Return ethanols with atoms moved by normal deviates of `spread` Å, with their forces."""
    rng = np.random.default_rng(seed)
    positions = [ethanol_positions() + rng.normal(0.0, spread, (9, 3)) for _ in range(n_frames)]
    bare = Frames(tuple(Frame(ATOMIC_NUMBERS, p) for p in positions), source="moved ethanols")
    return label_frames(bare, OplsEthanolCalculator()).frames


@pytest.fixture(scope="session")
def poor(
    tmp_path_factory: pytest.TempPathFactory, untrained: Callable[[Frames, int], Checkpoint]
) -> Poor:
    """A random network whose head is solved for on a few frames."""
    folder = tmp_path_factory.mktemp("poor")
    frames = opls_frames(12, 0.02, 0)
    parts = frames.subset(range(8)), frames.subset(range(8, 12))
    options = Options(kinds=("all-layers",), look_outside=False, sampled_heads=4)
    solution = finetune(untrained(frames, 8), *parts, options=options)
    finetuned, exported = folder / "finetuned", folder / "exported"
    exported.mkdir(parents=True)
    save_solution(finetuned, solution)
    artefact = write_artefact(exported, solution.checkpoint, "float64")
    write_summary(exported, {"checkpoint": str(finetuned)})
    return Poor(finetuned, artefact)


def poor_config(poor: Poor, **values: Any) -> SimulateConfig:
    """Return a hot run of two molecules, healed by OPLS-AA, with given values changed."""
    chosen: dict[str, Any] = {
        **{"model": str(poor.artefact.path), "molecules": 2, "temperature": 800.0, "seed": 1},
        **{"timestep": 0.5, "steps": 200, "report_interval": 2, "trajectory_interval": 4},
        **{"checkpoint_interval": 10, "platform": "Reference", "on_alarm": "rewind"},
        "watch": WatchConfig(interval=2, frames=10),
        "heal": HealConfig(calculator="opls"),
    }
    return SimulateConfig(**(chosen | values))
