"""The `fisher-mlip` command: its sub-commands in the order of the pipeline, its exit codes.

0 done; 1 the machine failed (disk full, no permission) or `doctor` found a failure; 2 the input
cannot be used; 3 a run became unstable; 4 a run was stopped by its watch; 5 an exported model fails
its certificate; 130 interrupted.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from fisher_mlip import __version__
from fisher_mlip.cli.analyze import analyze
from fisher_mlip.cli.bench import bench
from fisher_mlip.cli.compare import compare
from fisher_mlip.cli.data import data_app
from fisher_mlip.cli.diagnose import diagnose
from fisher_mlip.cli.doctor import doctor
from fisher_mlip.cli.export import export
from fisher_mlip.cli.finetune import finetune
from fisher_mlip.cli.folded_help import fold_option_names
from fisher_mlip.cli.info import info
from fisher_mlip.cli.lammps import lammps_app
from fisher_mlip.cli.preset_help import PresetHelp
from fisher_mlip.cli.quickstart import quickstart
from fisher_mlip.cli.score_match import score_match
from fisher_mlip.cli.simulate import simulate
from fisher_mlip.cli.stable import stable
from fisher_mlip.cli.train import train
from fisher_mlip.cli.verify import verify
from fisher_mlip.errors import InputError, UncertifiedError, UnstableRunError

PIPELINE = "Pipeline: frames -> model -> artefact -> run -> report"
ASIDE = "Around it"
ORDER = (
    *("data", "train", "finetune", "score-match", "stable", "export", "verify", "simulate"),
    *("analyze", "compare", "diagnose"),
    *("quickstart", "lammps", "bench", "info", "doctor"),
)
CODES: dict[type[BaseException], int] = {
    InputError: 2,
    UnstableRunError: 3,
    UncertifiedError: 5,
    KeyboardInterrupt: 130,
}
FAILURES = (InputError, UnstableRunError, UncertifiedError, OSError, KeyboardInterrupt)


class FailuresInWords(TyperGroup):
    """Tells the failures that a user can mend in one sentence instead of a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands as the pipeline goes; typer puts groups after commands."""
        return sorted(self.commands, key=ORDER.index)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        if threading.current_thread() is threading.main_thread():
            # As Ctrl-C: what is half-written goes.
            signal.signal(signal.SIGTERM, _terminated)
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except FAILURES as failure:
            if ctx.params["debug"]:
                raise
            typer.echo(_sentence(failure), err=True)
            raise typer.Exit(_exit_code(failure)) from None


fold_option_names()
app = typer.Typer(
    name="fisher-mlip",
    cls=FailuresInWords,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt("terminated")


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    app()
    raise SystemExit(0)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fisher-mlip {__version__}")
        raise typer.Exit


@app.callback()
def fisher_mlip(
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", envvar="FISHER_MLIP_DEBUG", help="Show tracebacks instead of one sentence."
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Closed-form Fisher heads for e3nn potentials, run in OpenMM and LAMMPS.

    Exit codes: 0 done, 1 the machine failed (disk full, no permission), 2 the input cannot be
    used, 3 a run became unstable, 4 a run was stopped by an alarm of its watch, 5 an exported model
    fails its certificate, 130 interrupted.
    """


def _sentence(failure: BaseException) -> str:
    if isinstance(failure, KeyboardInterrupt):
        return str(failure) or "interrupted"
    if isinstance(failure, OSError) and failure.strerror:
        place = f" ('{failure.filename}')" if failure.filename is not None else ""
        return f"error: {failure.strerror.lower()}{place}"
    return f"error: {failure}"


def _exit_code(failure: BaseException) -> int:
    return next((code for kind, code in CODES.items() if isinstance(failure, kind)), 1)


COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    PIPELINE: (
        *(train, finetune, score_match, stable, export, verify, simulate),
        *(analyze, compare, diagnose),
    ),
    ASIDE: (quickstart, bench, info, doctor),
}
app.add_typer(data_app, name="data", rich_help_panel=PIPELINE)
app.add_typer(lammps_app, name="lammps", rich_help_panel=ASIDE)
for _panel, _commands in COMMANDS.items():
    for _command in _commands:
        _kind = PresetHelp if _command is train else None
        app.command(cls=_kind, rich_help_panel=_panel)(_command)
