"""`fisher-mlip compare`: several models from the same starts, or runs that are there."""

from inspect import Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fisher_mlip.cli.console import console, wrote
from fisher_mlip.cli.simulate import given_options, simulate
from fisher_mlip.errors import InputError

if TYPE_CHECKING:
    from fisher_mlip.compare import Comparison

# What a comparison decides itself, or has otherwise.
NOT_OF_A_COMPARISON = (
    *("model", "output", "engine", "ranks", "start_frames", "on_alarm", "resume", "overwrite"),
    *("restart", "uncertainty_interval", "dtype"),
)
# Dense enough to date a break to 20 fs, at the price of a few percent.
INTERVALS = {"trajectory_interval": 20, "report_interval": 10, "checkpoint_interval": 500}


def _own_options(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL...",
            help="Exported models; or run folders (or folders of replica-* run folders), which are "
            "compared as they are. The others are compared with the first.",
        ),
    ],
    frames: Annotated[
        Path | None,
        typer.Option(help="Extended XYZ of single ethanols that start the gas's molecules, warm."),
    ] = None,
    replicas: Annotated[
        int,
        typer.Option(
            min=1, help="Molecules of ethanol-gas, or runs with a seed each of another system."
        ),
    ] = 32,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for runs and report.")
    ] = Path("comparison"),
    labels: Annotated[
        str, typer.Option(help="Names by commas. [default: the folders' names]")
    ] = "",
    reference: Annotated[
        Path | None,
        typer.Option(help="Run of a potential that is trusted: observables are compared with it."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Å off its reference length at which a bond is broken.")
    ] = 0.5,
    overwrite: Annotated[
        bool, typer.Option(help="Replace the report of another comparison of runs.")
    ] = False,
) -> None:
    """Hold the options that `simulate` has not, or has otherwise."""


def _signature() -> Signature:
    """Return our own options, and those of `simulate` that say what is run."""
    own = list(signature(_own_options).parameters.values())
    shared = [
        parameter
        for name, parameter in signature(simulate).parameters.items()
        if name not in NOT_OF_A_COMPARISON
    ]
    return Signature([*own, *shared], return_annotation=None)


def compare(**values: Any) -> None:
    """Run several models from the same starts and compare drift, fluctuation and stable times.

    Each replica has the same positions and velocities in every model, so that differences are of
    pairs. A comparison that was killed goes on by the same command; run folders in place of models
    are compared as they are.

    Example: fisher-mlip compare base head --frames warm.xyz --temperature 500 --steps 5000
    """
    from fisher_mlip.analysis import AnalysisConfig
    from fisher_mlip.compare import are_runs, compare_folders, compare_models

    models, output = values["models"], values["output"]
    names = [name.strip() for name in values["labels"].split(",")] if values["labels"] else None
    analysis = AnalysisConfig().changed(threshold=values["threshold"])
    if are_runs(models):
        _refuse_simulation(values)
        found, written = compare_folders(
            models,
            output,
            labels=names,
            analysis=analysis,
            reference=values["reference"],
            overwrite=values["overwrite"],
        )
    else:
        found, written = compare_models(
            models,
            _config(values),
            output,
            replicas=values["replicas"],
            labels=names,
            analysis=analysis,
            reference=values["reference"],
        )
    _print(found)
    wrote(*written)


def _config(values: dict[str, Any]) -> Any:
    """Return the configuration of the runs, with the first model."""
    from fisher_mlip.simulate.settings import merged_config, refuse_idle
    from fisher_mlip.simulate.systems import GAS

    frames = values["frames"]
    given = given_options({**values, "model": values["models"][0]})
    given["start_frames"] = None if frames is None else str(frames)
    config = merged_config(given, values["config"], None)
    refuse_idle(given, config)
    if given.get("molecules") is not None and config.system == GAS:
        raise InputError("the molecules of ethanol-gas are its replicas: expected --replicas alone")
    left = {key: value for key, value in INTERVALS.items() if key not in config.model_fields_set}
    return config.changed(**left)


def _refuse_simulation(values: dict[str, Any]) -> None:
    """Refuse options of a simulation where there is none."""
    shared = [name for name in signature(simulate).parameters if name in values]
    for name in (*shared, "frames"):
        if name not in ("overwrite", "output") and values.get(name) is not None:
            raise InputError(
                f"--{name.replace('_', '-')} is of runs to be made, found run folders, which are "
                "compared as they are"
            )


def _print(found: "Comparison") -> None:
    from rich.table import Table

    from fisher_mlip.compare import table_rows

    table = Table("", *(model.label for model in found.models))
    for name, cells in table_rows(found):
        table.add_row(name, *cells)
    console.print(table, markup=False)
    for note in found.notes:
        console.print(f"note: {note}", markup=False)


compare.__signature__ = _signature()  # type: ignore[attr-defined]
compare.__annotations__ = {
    **{parameter.name: parameter.annotation for parameter in _signature().parameters.values()},
    "return": None,
}
