"""Models healed in the middle of a run: who makes them, which of them is in use, and their table.

Which model a run goes on with stands in `rewinds.json`, beside the state that it goes on from: both
change at once, in one file, so that a kill leaves no state with another model.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Protocol

from pydantic import Field

from fisher_mlip.config import Config, SimulateConfig, parse_config
from fisher_mlip.errors import InputError
from fisher_mlip.export import Artefact, load_artefact
from fisher_mlip.products import SUMMARY_NAME, read_json, write_text
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.rewinding import Healed, read_rewinds
from fisher_mlip.simulate.systems import MolecularSystem
from openmm_plugin.watch import Alarm

KEY = "healing"


@dataclass(frozen=True, eq=False)
class Illness:
    """What is to be healed.

    Attributes:
        folder: of the run.
        molecular: its atoms.
        alarms: of one step.
    """

    folder: RunFolder
    molecular: MolecularSystem
    alarms: Sequence[Alarm]


class Healer(Protocol):
    """Makes the model that a run goes on with after an alarm."""

    def check(self, molecular: MolecularSystem, artefact: Artefact) -> None:
        """Raise an InputError where alarms of this system could not be healed."""

    def heal(self, illness: Illness) -> Healed:
        """Make a folder with the artefact `model.pt` and `summary.json` in the run folder."""


class Healing(Config):
    """One healing, as in the `summary.json` of its folder and the rows of `healing.csv`.

    Attributes:
        step, time_ps, criterion: of the alarm.
        made: calls of the calculator.
        frames: labels that were added to the normal equations.
        label_force_rmse_before, label_force_rmse_after: on those, eV/Å.
        held_out_force_rmse_before, held_out_force_rmse_after: of the finetune's held-out frames,
            eV/Å.
        head, ridge: that were chosen.
        sound_step: up to which the model that was running was right on the labels.
        seconds: wall time.
        rewinds: how often the run had been rewound before.
        model: its folder in the run folder.
    """

    step: int = Field(ge=0)
    time_ps: float
    criterion: str
    made: int = Field(ge=0)
    frames: int = Field(ge=0)
    label_force_rmse_before: float
    label_force_rmse_after: float
    held_out_force_rmse_before: float | None
    held_out_force_rmse_after: float | None
    head: str
    ridge: float
    sound_step: int
    seconds: float
    rewinds: int = Field(ge=0)
    model: str


def healed_models(folder: RunFolder) -> list[str]:
    """Return the folders of the models that a run has gone on with, in their order."""
    return [rewind.model for rewind in read_rewinds(folder).rewinds if rewind.model]


def artefact_in_use(folder: RunFolder, artefact: Artefact) -> Artefact:
    """Return the model that a run goes on with: its own, or the last healed one."""
    models = healed_models(folder)
    return load_artefact(folder.path / models[-1]) if models else artefact


def read_healing(folder: RunFolder, model: str) -> Healing:
    """Return what was written of a healing.

    Raises:
        InputError: its folder is missing or damaged.
    """
    path = folder.path / model / SUMMARY_NAME
    return parse_config(read_json(path, [KEY])[KEY], Healing, f"'{path}'")


def read_healings(folder: RunFolder) -> list[Healing]:
    """Return the healings that a run has gone on with, in their order."""
    return [read_healing(folder, model) for model in healed_models(folder)]


def write_healings(folder: RunFolder) -> None:
    """Write `healing.csv` of what the healings' own folders say; no file without any."""
    healings = read_healings(folder)
    if not healings:
        return
    text, labels = StringIO(), 0
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*Healing.model_fields, "labels_so_far"])
    for healing in healings:
        labels += healing.made
        rows.writerow([*healing.model_dump().values(), labels])
    write_text(folder.healing, text.getvalue())


def check_healer(config: SimulateConfig, healer: Healer | None) -> None:
    """Check that a run that is to be healed has somebody who does it.

    Raises:
        InputError: it has not.
    """
    if config.heal.calculator and healer is None:
        raise InputError(
            f"heal by '{config.heal.calculator}' needs fisher_mlip.heal.run_healed_simulation, "
            "found run_simulation"
        )
