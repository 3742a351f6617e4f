"""Makes the runs of a comparison; those that are complete are taken, those cut off go on."""

from collections.abc import Sequence
from pathlib import Path

from fisher_mlip.compare.plan import Planned
from fisher_mlip.config import SimulateConfig
from fisher_mlip.export import load_artefact
from fisher_mlip.products import read_json
from fisher_mlip.simulate import run_simulation
from fisher_mlip.simulate.folder import RunFolder
from fisher_mlip.simulate.progress import show_note
from fisher_mlip.simulate.settings import check_resume, settled_config, with_route_of

# A run that blew up has ended: from its last checkpoint it would do so again.
ENDED = ("finished", "unstable", "alarm")


def make_runs(planned: Sequence[Planned]) -> None:
    """Run what is not complete yet.

    Args:
        planned: of all models.

    Raises:
        InputError: a folder holds another run, or a model cannot run the system.
        KeyboardInterrupt: a signal stopped a run; the same command goes on with it.
    """
    for model in planned:
        for config, folder in zip(model.configs, model.folders, strict=True):
            if is_complete(config, folder):
                show_note(f"taken as it is: '{folder}'")
                continue
            summary = run_simulation(config, folder, resume=RunFolder(folder).record.exists())
            if summary.status == "interrupted":
                raise KeyboardInterrupt(
                    f"stopped in '{folder}': the same command goes on with the comparison"
                )


def is_complete(config: SimulateConfig, folder: Path) -> bool:
    """Return whether a folder holds the run of a configuration to its end.

    Raises:
        InputError: it holds a run of other settings.
    """
    place = RunFolder(folder)
    if not place.record.exists():
        return False
    artefact = load_artefact(Path(config.model))
    check_resume(with_route_of(settled_config(config, artefact), place), artefact, place)
    if not place.summary.exists():
        return False
    summary = read_json(place.summary)
    return summary.get("status") in ENDED and summary.get("steps") == config.steps
