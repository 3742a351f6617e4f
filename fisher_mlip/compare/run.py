"""Models or run folders -> a comparison's folder."""

from collections.abc import Sequence
from pathlib import Path

from fisher_mlip.analysis import AnalysisConfig
from fisher_mlip.analysis.report import run_labels
from fisher_mlip.compare.comparison import Comparison, compare_runs, is_run, run_folders
from fisher_mlip.compare.plan import model_labels, plan_runs, write_starts
from fisher_mlip.compare.report import fill_comparison
from fisher_mlip.compare.running import make_runs
from fisher_mlip.config import SimulateConfig, read_yaml, write_yaml
from fisher_mlip.errors import InputError
from fisher_mlip.products import locked_folder

RECORD_NAME = "compare.yaml"


def compare_models(
    models: Sequence[Path],
    config: SimulateConfig,
    folder: Path,
    *,
    replicas: int,
    labels: Sequence[str] | None = None,
    analysis: AnalysisConfig | None = None,
    reference: Path | None = None,
) -> tuple[Comparison, list[Path]]:
    """Run several models from the same starts and seeds, and compare what came of them.

    Runs in the folder that are complete are taken, those that were cut off go on.

    Args:
        models: exported models.
        config: of their runs, but for the model.
        folder: to be made, or of the same comparison.
        replicas: molecules of `ethanol-gas`, or runs with a seed each.
        labels: names of the models; None: of their folders.
        analysis: thresholds, seed.
        reference: run whose observables are trusted; None for none.

    Returns:
        The comparison and the files of its report.

    Raises:
        InputError: the input cannot be used, or the folder holds something else.
        KeyboardInterrupt: a signal stopped a run.
    """
    names = model_labels(models, labels)
    planned = plan_runs(models, names, config, replicas, folder)
    _claim(folder, {"models": dict(zip(names, map(str, models), strict=True))}, overwrite=False)
    with locked_folder(folder):
        write_starts(config, replicas, folder)
        make_runs(planned)
        comparison = compare_runs([model.folders for model in planned], names, analysis, reference)
        return comparison, fill_comparison(comparison, folder)


def compare_folders(
    paths: Sequence[Path],
    folder: Path,
    *,
    labels: Sequence[str] | None = None,
    analysis: AnalysisConfig | None = None,
    reference: Path | None = None,
    overwrite: bool = False,
) -> tuple[Comparison, list[Path]]:
    """Compare runs that are there.

    Args:
        paths: run folders, or folders of `replica-*` run folders, one a model.
        folder: to be made.
        labels: names; None: of the folders.
        analysis: thresholds, seed.
        reference: run whose observables are trusted; None for none.
        overwrite: replace the report of another comparison.

    Raises:
        InputError: the runs do not start alike, or the folder holds something else.
    """
    names = run_labels(paths, labels)
    comparison = compare_runs([run_folders(path) for path in paths], names, analysis, reference)
    runs = dict(zip(names, (str(path.resolve()) for path in paths), strict=True))
    _claim(folder, {"runs": runs}, overwrite=overwrite)
    with locked_folder(folder):
        return comparison, fill_comparison(comparison, folder)


def are_runs(paths: Sequence[Path]) -> bool:
    """Return whether paths name runs; False where they name models.

    Raises:
        InputError: some name runs and others do not.
    """
    found = [is_run(path) for path in paths]
    if any(found) and not all(found):
        run, other = paths[found.index(True)], paths[found.index(False)]
        raise InputError(
            f"expected models or run folders, found the run '{run}' and '{other}', which is none"
        )
    return any(found)


def _claim(folder: Path, content: dict[str, dict[str, str]], *, overwrite: bool) -> None:
    """Make the folder of a comparison, or see that it is one of the same models or runs."""
    record = folder / RECORD_NAME
    if record.is_file():
        if not overwrite and read_yaml(record) != content:
            raise InputError(
                f"output '{folder}' holds another comparison: name another one, or pass "
                "--overwrite to replace the report of runs"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"output '{folder}' exists and is no comparison: name another one")
    folder.mkdir(parents=True, exist_ok=True)
    write_yaml(record, content)
