"""`fisher-mlip diagnose`: where the energy drift of a run comes from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fisher_mlip.cli.console import console, wrote
from fisher_mlip.errors import InputError

if TYPE_CHECKING:
    from fisher_mlip.diagnose.state import At


def diagnose(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of simulate, in OpenMM.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for ledgers, plot and summary.json.")
    ] = Path("diagnosis"),
    ps: Annotated[
        float, typer.Option(min=0.0, help="Length of each segment; longer ones tell more.")
    ] = 2.0,
    at: Annotated[
        str,
        typer.Option(help="State to start from: 'checkpoint' (the run's last) or 'start'."),
    ] = "checkpoint",
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap of the intervals.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace a diagnosis that is there.")] = False,
) -> None:
    """Say where a run's energy drift comes from: timestep, rounding, neighbor list or surface.

    Runs a segment again in NVE from the same state, for the same time: as it was, at half the step,
    in float64 and with a longer skin, and compares drift and fluctuation. The cost is told first.

    Example: fisher-mlip diagnose run --ps 5 -o diagnosis
    """
    from fisher_mlip.diagnose import diagnose_run

    if at not in ("checkpoint", "start"):
        raise InputError(f"expected --at checkpoint or --at start, found --at {at}")
    place: At = "start" if at == "start" else "checkpoint"
    found, written = diagnose_run(
        run, output, length_ps=ps, at=place, seed=seed, overwrite=overwrite
    )
    for one in found.measured:
        slope, fluctuation = one.slope, one.fluctuation
        console.print(
            f"{one.name:14} drift {slope.value:+.3g} [{slope.low:.3g}, {slope.high:.3g}] "
            f"meV/atom/ps, fluctuation {fluctuation.value:.3g} "
            f"[{fluctuation.low:.3g}, {fluctuation.high:.3g}] meV/atom",
            markup=False,
        )
    for left in found.not_run:
        console.print(f"not run: {left}", markup=False)
    console.print(f"{found.verdict.cause}: {found.verdict.sentence}", markup=False)
    wrote(*written)
