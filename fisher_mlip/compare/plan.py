"""Models and one configuration -> the runs that compare them, from the same starts and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fisher_mlip.analysis.report import run_labels
from fisher_mlip.config import SimulateConfig
from fisher_mlip.data import Frame, Frames, write_frames
from fisher_mlip.errors import InputError
from fisher_mlip.export import load_artefact
from fisher_mlip.products import whole_file
from fisher_mlip.simulate.structures import frame_of
from fisher_mlip.simulate.systems import GAS, LIQUID, build_molecular_system

RUNS_NAME = "runs"
STARTS_NAME = "starts"


@dataclass(frozen=True)
class Planned:
    """The runs of one model.

    Attributes:
        label: of the model.
        configs: one a run; of `ethanol-gas` there is one run, whose molecules are the replicas.
        folders: of the runs.
    """

    label: str
    configs: tuple[SimulateConfig, ...]
    folders: tuple[Path, ...]


def model_labels(models: Sequence[Path], labels: Sequence[str] | None) -> list[str]:
    """Return names of models that can be folders.

    Args:
        models: exported models, `model.pt` or their folders.
        labels: as they were given; None: the names of the models' folders.

    Raises:
        InputError: a model is none, or labels do not fit.
    """
    folders = [load_artefact(path).path.parent for path in models]
    names = [name.strip("/").replace("/", "-") for name in run_labels(folders, labels)]
    if len(set(names)) != len(names):
        raise InputError(f"expected labels that differ as names of folders, found {names}")
    return names


def plan_runs(
    models: Sequence[Path],
    labels: Sequence[str],
    config: SimulateConfig,
    replicas: int,
    folder: Path,
) -> list[Planned]:
    """Return the runs of every model.

    Args:
        models: exported models.
        labels: one each, a name of a folder.
        config: of all of them, but for the model.
        replicas: molecules of `ethanol-gas`, or runs with a seed each of any other system.
        folder: of the comparison.

    Raises:
        InputError: two models or more are expected, or LAMMPS was asked for.
    """
    if config.engine != "openmm":
        raise InputError("expected the engine openmm to compare models in, found lammps")
    if len(models) < 2:
        raise InputError(f"expected two models or more to compare, found {len(models)}")
    planned = []
    for model, label in zip(models, labels, strict=True):
        own = config.changed(model=str(model))
        place = folder / RUNS_NAME / label
        if config.system == GAS:
            planned.append(Planned(label, (own.changed(molecules=replicas),), (place,)))
            continue
        configs = [
            own.changed(seed=config.seed + number, system=_system(config, folder, number))
            for number in range(replicas)
        ]
        folders = [place / f"replica-{number:03d}" for number in range(replicas)]
        planned.append(Planned(label, tuple(configs), tuple(folders)))
    return planned


def write_starts(config: SimulateConfig, replicas: int, folder: Path) -> None:
    """Pack the liquids that the models start from, once for all of them; what is there stays.

    Args:
        config: of the runs.
        replicas: liquids, each with a seed.
        folder: of the comparison.
    """
    if config.system != LIQUID:
        return
    for number in range(replicas):
        path = _start(folder, number)
        if path.exists():
            continue
        molecular = build_molecular_system(config.changed(seed=config.seed + number), 0.0)
        frame: Frame = frame_of(molecular.topology, molecular.positions, molecular.cell)
        with whole_file(path) as partial:
            write_frames(partial, Frames((frame,)))


def _system(config: SimulateConfig, folder: Path, number: int) -> str:
    return str(_start(folder, number)) if config.system == LIQUID else config.system


def _start(folder: Path, number: int) -> Path:
    return folder / STARTS_NAME / f"replica-{number:03d}.xyz"
