"""What LAMMPS itself ends a run for: those bounds of the watch that it can look at."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fisher_mlip.config import SimulateConfig
from fisher_mlip.lammps.outcome import tail_of

# Standard deviations of a canonical temperature that are chance.
_CHANCE = 5.0
_NAME = "watch_"
_MET = re.compile(rf"Fix halt condition for fix-id {_NAME}(\w+) met on step (\d+) with value (\S+)")


@dataclass(frozen=True)
class Halt:
    """A `fix halt`.

    Attributes:
        criterion: its name.
        value: what is looked at, as LAMMPS writes it.
        bound: above which the run ends.
        interval: steps between looks.
    """

    criterion: str
    value: str
    bound: str
    interval: int


def halts_of(config: SimulateConfig, n_freedom: int) -> list[Halt]:
    """Return what ends a run whose alarms shall stop it.

    Args:
        config: its `on_alarm` and the watch's bounds.
        n_freedom: degrees of freedom, which the temperature's chance goes by.
    """
    watch = config.watch
    if config.on_alarm != "stop" or not watch.enabled:
        return []
    found = []
    if watch.temperature_ratio and config.temperature:
        chance = 1.0 + _CHANCE * float(np.sqrt(2.0 / n_freedom))
        bound = watch.temperature_ratio * config.temperature * chance
        found.append(Halt("temperature", "temp", f"{bound:.12g}", config.report_interval))
    if watch.uncertainty:
        bound_text = f"{watch.uncertainty:.12g}"
        interval = config.uncertainty_interval
        found.append(Halt("uncertainty", "c_u_largest", bound_text, interval))
    return found


def find_halt(log: Path) -> str:
    """Return in words what a run was ended for by its watch, "" for nothing."""
    met = _MET.search(tail_of(log))
    if met is None:
        return ""
    criterion, step, value = met.groups()
    unit = {"temperature": "K", "uncertainty": "eV/Å"}.get(criterion, "")
    return f"{criterion} of {float(value):.6g} {unit} at step {step}, beyond the watch's bound"
