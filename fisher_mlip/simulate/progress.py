"""What a run shows while it is prepared and while it goes, on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)


def show_note(text: str) -> None:
    """Print a note on standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"note: {text}", markup=False)


@contextmanager
def shown_progress(label: str, done: int, steps: int) -> Iterator[Callable[[int, float], None]]:
    """Yield a function of (step, ns/day or 0) that moves a bar on standard error.

    Args:
        label: before the bar.
        done: steps at the start.
        steps: at the end.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, highlight=False)) as progress:
        task = progress.add_task(label, total=steps, completed=done, speed="")

        def update(step: int, ns_per_day: float) -> None:
            speed = f"{ns_per_day:.3g} ns/day" if ns_per_day > 0.0 else ""
            progress.update(task, completed=step, speed=speed)

        yield update


@contextmanager
def shown_preparation() -> Iterator[Callable[[str, float], None]]:
    """Yield a function of (what is done, fraction of the whole) that moves a bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("packing", total=1.0)

        def update(doing: str, fraction: float) -> None:
            progress.update(task, description=doing, completed=fraction)

        yield update
