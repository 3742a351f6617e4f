"""`fisher-mlip doctor`: the diagnosis of an installation, as a table or as JSON."""

from pathlib import Path
from typing import Annotated

import typer

from fisher_mlip.cli.console import console

_MARKS = {"ok": "ok  ", "warning": "warn", "failure": "FAIL"}


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of lines.")
    ] = False,
) -> None:
    """Check that this installation computes: packages, engines, machine (about 15 s).

    A small TorchScript force runs on every OpenMM platform in a process of its own and is compared
    with its analytic energy and forces. Exit code 1 when something needed does not work.

    Example: fisher-mlip doctor --json
    """
    from fisher_mlip import doctor as diagnosis

    findings = diagnosis.diagnose(Path.cwd())
    if as_json:
        typer.echo(diagnosis.as_json(findings))
    else:
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            line = f"{_MARKS[finding.status]}  {finding.subject:<{width}}  {finding.detail}"
            console.print(line, markup=False)
    if not diagnosis.is_healthy(findings):
        raise typer.Exit(1)
