"""`fisher-mlip quickstart`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from fisher_mlip.cli.console import console, fraction_bar, wrote
from fisher_mlip.cli.options import Device


class Shown:
    """Stages as headings, progress as bars, on standard error."""

    def stage(self, title: str) -> None:
        """Announce a stage."""
        console.print(title, markup=False)

    def bar(self, label: str) -> AbstractContextManager[Callable[[float], None]]:
        """Show a bar and yield the function that sets its fraction."""
        return fraction_bar(f"  {label}")


def quickstart(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")] = Path(
        "runs/quickstart"
    ),
    smoke: Annotated[bool, typer.Option(help="Tiny sizes: a minute, to see it run.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    device: Annotated[Device, typer.Option(help="auto: a GPU where there is one.")] = Device.AUTO,
    overwrite: Annotated[bool, typer.Option(help="Start anew where a quickstart is.")] = False,
) -> None:
    """Do the whole job on an embedded example: frames, model, Fisher head, OpenMM, report.

    Ethanol by a classical force field (OPLS-AA) is sampled, learned, finetuned in closed form,
    exported, run in OpenMM (gas NVE from the same states with and without the Fisher head, and
    the 600-molecule liquid), and analyzed. About 12 minutes on 2 cores. Run it again after an
    interruption and it goes on where it was.

    Example: fisher-mlip quickstart -o runs/quickstart
    """
    from fisher_mlip.quickstart import QuickstartConfig, run_quickstart

    sizes = {
        "gas_frames": 60,
        "liquid_frames": 5,
        "liquid_molecules": 16,
        "training_seconds": 10.0,
        "molecules": 4,
        "steps": 100,
        "box_molecules": 16,
        "box_steps": 8,
    }
    config = QuickstartConfig(device=device.value, seed=seed).changed(**(sizes if smoke else {}))
    wrote(*run_quickstart(output, config, Shown(), overwrite=overwrite))
