"""The sizes of a quickstart, its folder, and how its stages are shown."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import Field

from fisher_mlip.config import Config, DeviceName
from fisher_mlip.data import Frames, read_frames
from fisher_mlip.products import read_json

MODELS = ("base", "fisher")
# What the report tells of the head.
SOLUTION_KEYS = ("kept_pretrained", "chosen", "base", "force_components")


class QuickstartConfig(Config):
    """Sizes of the quickstart; the defaults fit 15 minutes of 2 cores, installation included.

    Attributes:
        gas_frames: frames of single molecules at 500 K.
        liquid_frames: frames of a liquid box at 300 K.
        liquid_molecules: molecules in that box.
        training_seconds: wall time of the training.
        molecules: independent molecules in the stability runs.
        steps: of 1 fs in the stability runs.
        box_molecules: molecules of the liquid box that the finetuned model runs.
        box_steps: of 0.5 fs in that box.
    """

    gas_frames: int = Field(400, ge=20)
    liquid_frames: int = Field(15, ge=5)
    liquid_molecules: int = Field(16, ge=16)
    training_seconds: float = Field(210.0, gt=0)
    molecules: int = Field(32, ge=1)
    steps: int = Field(1500, ge=10)
    box_molecules: int = Field(600, ge=16)
    box_steps: int = Field(40, ge=4)
    seed: int = Field(0, ge=0, lt=2**63)
    device: DeviceName = "auto"

    @property
    def is_miniature(self) -> bool:
        """Whether something is smaller than by default, so that the numbers mean nothing."""
        free = {"seed", "device"}
        return any(
            getattr(self, name) < field.default
            for name, field in type(self).model_fields.items()
            if name not in free
        )


class Show(Protocol):
    """How the stages are shown while they go."""

    def stage(self, title: str) -> None:
        """Announce a stage."""

    def bar(self, label: str) -> AbstractContextManager[Callable[[float], None]]:
        """Show a bar and yield the function that sets its fraction."""


@dataclass(frozen=True)
class Quickstart:
    """Where everything is, and what it is made from."""

    folder: Path
    config: QuickstartConfig
    show: Show

    def part(self, name: str) -> Frames:
        return read_frames(self.folder / "data" / f"{name}.xyz")

    @property
    def solution(self) -> dict[str, Any]:
        """What `solve` found."""
        return read_json(self.folder / "fisher" / "summary.json", SOLUTION_KEYS)

    @property
    def gas_models(self) -> tuple[str, ...]:
        """The models whose forces differ: where no head was better, one run tells all."""
        return ("base",) if self.solution["kept_pretrained"] else MODELS
