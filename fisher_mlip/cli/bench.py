"""`fisher-mlip bench`: where the time of a run goes."""

from inspect import Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from fisher_mlip.cli.console import console, wrote
from fisher_mlip.cli.simulate import given_options, simulate

# What decides where a run is written and how long it is, not how fast.
NOT_OF_A_RUN = ("model", "output", "steps", "on_alarm", "resume", "overwrite", "restart")


def _own_options(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="Exported model (model.pt or model.lmp.pt, or its folder), or the folder of a "
            "run, which is timed as its config.yaml says. May be left out with --config.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for summary.json and bench.png."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Steps to time. Default: as many as take about 20 s, at least 20."),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing output.")] = False,
) -> None:
    """Hold the options that `simulate` has not, or has otherwise."""


def _signature() -> Signature:
    """Return the options of `simulate` that say what is run, and those of our own."""
    own = list(signature(_own_options).parameters.values())
    shared = [
        parameter
        for name, parameter in signature(simulate).parameters.items()
        if name not in NOT_OF_A_RUN
    ]
    return Signature([own[0], *shared, *own[1:]], return_annotation=None)


def bench(**values: Any) -> None:
    """Say where the time of a run goes, and what to change.

    Takes what describes a run for simulate, or a run folder. Times whole steps with everything that
    the run writes, then list, model, engine and each output alone, in a temporary folder (of
    $TMPDIR) that is gone afterwards. Without -o nothing is written.

    Example: fisher-mlip bench exported --system ethanol-gas --molecules 48 -o bench
    """
    from fisher_mlip.bench import bench_config, bench_run, lines_of, write_bench
    from fisher_mlip.products import refuse_existing

    output, overwrite, inputs = values["output"], values["overwrite"], [values["model"]]
    config = bench_config(given_options(values), values["config"])
    if output is not None:
        refuse_existing(output, overwrite=overwrite, inputs=inputs)
    found = bench_run(config, values["steps"])
    for line in lines_of(found):
        console.print(line, markup=False)
    if output is not None:
        wrote(*write_bench(found, output, overwrite=overwrite, inputs=inputs))


bench.__signature__ = _signature()  # type: ignore[attr-defined]
bench.__annotations__ = {
    **{parameter.name: parameter.annotation for parameter in _signature().parameters.values()},
    "return": None,
}
