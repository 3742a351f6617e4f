"""What `export` and `verify` share: a certificate made with progress shown, printed as a table."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from rich.table import Table

from fisher_mlip.cli.console import console, progress_console

if TYPE_CHECKING:
    from fisher_mlip.certificate import Certificate, Row
    from fisher_mlip.data import Frame
    from fisher_mlip.export import Artefact
    from fisher_mlip.model import Checkpoint

STYLES = {"passed": "green", "failed": "bold red", "reported": "dim"}


class Level(StrEnum):
    """How much a certificate checks."""

    QUICK = "quick"
    FULL = "full"


@contextmanager
def shown_checks() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows on standard error which checks run."""
    with progress_console.status("certificate") as status:
        yield lambda name: status.update(f"certificate: {name}")


def with_certificate(
    artefact: "Artefact",
    checkpoint: "Checkpoint",
    frames: "Sequence[Frame]",
    *,
    platform: str,
    level: Level,
    seed: int,
) -> "Artefact":
    """Certify an artefact that was just written, print what was found and bind it.

    Args:
        artefact: as written.
        checkpoint: that it was made from.
        frames: of the user.
        platform: of OpenMM, or `auto`.
        level: how much is checked.
        seed: of probes, operations and velocities.

    Raises:
        UncertifiedError: a check failed.
    """
    from fisher_mlip import certificate as room
    from fisher_mlip.certificate.binding import bind

    with shown_checks() as show:
        certificate = room.certify(
            artefact,
            frames=frames,
            checkpoint=checkpoint,
            platform=platform,
            level=level.value,
            seed=seed,
            show=show,
        )
    print_certificate(certificate)
    return bind(artefact, certificate)


def print_certificate(certificate: "Certificate") -> None:
    """Print the worst row of each check as a table, and where they were measured."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("check", overflow="fold")
    table.add_column("on", overflow="fold")
    for name in ("figure", "at most"):
        table.add_column(name, justify="right", no_wrap=True, min_width=8)
    table.add_column("unit", no_wrap=True, min_width=8)
    table.add_column("", no_wrap=True, min_width=8)
    for row in certificate.brief:
        table.add_row(*_cells(row))
    console.print(table)
    for note in dict.fromkeys(row.note for row in certificate.brief if row.note):
        console.print(f"note: {note}", markup=False)
    console.print(summary_line(certificate), markup=False)


def summary_line(certificate: "Certificate") -> str:
    """Return one line: what came out, and where."""
    found = certificate.conditions
    n_failed = len(certificate.failed)
    outcome = "passed" if certificate.passed else f"failed {n_failed} of {len(certificate.rows)}"
    return (
        f"certificate ({found.level}): {outcome}, {len(certificate.rows)} rows in "
        f"{certificate.seconds:.0f} s, {certificate.dtype} on {found.platform} ({found.device}), "
        f"route {found.route}, kernel {found.kernel}, torch {found.versions.get('torch', '?')}"
    )


def _cells(row: "Row") -> tuple[str, ...]:
    style = STYLES[row.verdict.value]
    figure = "-" if row.figure is None else f"{row.figure:.2e}"
    tolerance = "" if row.tolerance is None else f"{row.tolerance:.1e}"
    verdict = f"[{style}]{row.verdict.value}[/{style}]"
    return row.name, row.on, figure, tolerance, row.unit, verdict
