"""What a run came to."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Literal

from openmm import Platform

from fisher_mlip.config import SimulateConfig
from fisher_mlip.products import read_json
from fisher_mlip.simulate.folder import RunFolder

Status = Literal["finished", "unstable", "alarm", "interrupted"]
EXIT_CODES: dict[Status, int] = {"finished": 0, "unstable": 3, "alarm": 4, "interrupted": 130}
PACKAGES = ("fisher-mlip", "openmm", "torch", "mdtraj", "numpy")


def package_versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Return the versions that a run depends on, and those of other packages."""
    versions = {name: importlib.metadata.version(name) for name in (*PACKAGES, *more)}
    return versions | {"openmm_library": str(Platform.getOpenMMVersion())}


@dataclass(frozen=True)
class RunSummary:
    """The outcome of a run, as in `summary.json`.

    Attributes:
        status: finished, unstable (an energy or position became non-finite), alarm (the watch
            stopped it), or interrupted.
        message: the reason in one sentence; "" when finished.
        steps: asked for.
        steps_done: integrated, over all starts and resumes.
        first_nonfinite_step: where it was noticed, None if never.
        seconds: wall time of the steps of this process.
        ns_per_day: of this process.
        platform: OpenMM's name.
        precision: of the integration.
        force_route: how the potential is called, and why so.
        dtype: of the potential.
        degrees_of_freedom: behind the temperatures.
        paths: of the run's files, by role.
        alarms: of the watch, in the order of their coming: criterion, step, value, threshold,
            unit, action and the file with the frames; those before a rewind too.
        rewinds: how often the run was rewound.
        healings: of its alarms, in their order: what was labelled and solved for, and the model.
        versions: of the packages.
    """

    status: Status
    message: str
    steps: int
    steps_done: int
    first_nonfinite_step: int | None
    seconds: float
    ns_per_day: float
    platform: str
    precision: str
    force_route: str
    dtype: str
    degrees_of_freedom: float
    paths: dict[str, Any]
    alarms: list[dict[str, Any]] = field(default_factory=list)
    rewinds: int = 0
    healings: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=package_versions)

    @property
    def labels(self) -> int:
        """Calls of the calculator of the healings."""
        return sum(int(healing["made"]) for healing in self.healings)

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.status]

    def as_dict(self) -> dict[str, Any]:
        """Return the content of `summary.json`."""
        return asdict(self) | {"labels": self.labels, "exit_code": self.exit_code}


def finished_summary(config: SimulateConfig, folder: RunFolder) -> RunSummary | None:
    """Return the summary of a run that has nothing left to do."""
    if not folder.summary.exists():
        return None
    found = fields(RunSummary)
    needed = [f.name for f in found if f.default is MISSING and f.default_factory is MISSING]
    summary = read_json(folder.summary, needed)
    if summary["status"] != "finished" or summary["steps"] != config.steps:
        return None
    return RunSummary(**{f.name: summary[f.name] for f in found if f.name in summary})
