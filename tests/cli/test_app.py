"""The command line as a user meets it: order, exit codes, one sentence instead of a traceback."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fisher_mlip import __version__
from fisher_mlip.cli.app import ORDER, FailuresInWords, app, fisher_mlip
from fisher_mlip.cli.preset_help import preset_values
from fisher_mlip.errors import InputError, UnstableRunError

HEAVY = {"torch", "openmm", "mdtraj", "lightning", "matplotlib", "ase", "e3nn"}
RUNNER = CliRunner()


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from fisher_mlip.cli import main; main()", *arguments]
    # Terminals that CI systems feign would put colors into the text.
    environment = os.environ | {"_TYPER_FORCE_DISABLE_TERMINAL": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def app_that_fails(failure: BaseException) -> typer.Typer:
    """An application with the real group and callback, whose command raises `failure`."""
    broken = typer.Typer(cls=FailuresInWords, pretty_exceptions_enable=False)
    broken.callback()(fisher_mlip)

    @broken.command("info")
    def fail() -> None:
        raise failure

    return broken


def test_help_follows_the_pipeline() -> None:
    done = run_command("--help")
    assert done.returncode == 0
    places = [done.stdout.find(f"│ {name} ") for name in ORDER]
    assert -1 not in places
    assert places == sorted(places)


def test_the_package_is_the_command_too() -> None:
    command = [sys.executable, "-m", "fisher_mlip", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"fisher-mlip {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    show_help = "from fisher_mlip.cli import app; app(['--help'], standalone_mode=False)"
    assert not HEAVY & loaded_by(show_help)
    assert "ase" in HEAVY & loaded_by("import fisher_mlip.cli, ase")


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a fresh process holds after a statement."""
    code = f"import sys\n{statement}\nprint('LOADED', *{{n.split('.')[0] for n in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].removeprefix("LOADED ").split())


def test_help_of_train_has_the_values_of_the_presets_and_imports_nothing_heavy() -> None:
    show_help = "from fisher_mlip.cli import app; app(['train', '--help'], standalone_mode=False)"
    assert not HEAVY & loaded_by(show_help)
    result = RUNNER.invoke(app, ["train", "--help"], env={"COLUMNS": "200"})
    assert "Frames per step. [default 5, fast 5, accurate 5, report 30]" in result.stdout
    assert "spherical harmonics, 0 to 4. [2]" in " ".join(result.stdout.split())


def test_values_of_the_presets_are_those_that_train() -> None:
    from fisher_mlip.train.settings import training_config

    values = preset_values()
    for option, value in training_config("accurate", None, {}).model_dump().items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert f"{value:g}" in values[option], option


def test_version() -> None:
    done = run_command("--version")
    assert (done.returncode, done.stdout) == (0, f"fisher-mlip {__version__}\n")


@pytest.mark.parametrize(
    ("failure", "code", "sentence"),
    [
        (InputError("expected frames, found none"), 2, "error: expected frames, found none\n"),
        (UnstableRunError("energy is NaN at step 3"), 3, "error: energy is NaN at step 3\n"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "run/ledger.csv"),
            1,
            "error: no space left on device ('run/ledger.csv')\n",
        ),
        (OSError("disk gone"), 1, "error: disk gone\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (KeyboardInterrupt("interrupted after 3"), 130, "interrupted after 3\n"),
    ],
)
def test_failures_are_one_sentence(failure: BaseException, code: int, sentence: str) -> None:
    result = RUNNER.invoke(app_that_fails(failure), ["info"])
    assert (result.exit_code, result.stderr, result.stdout) == (code, sentence, "")


def debug_option(failing: typer.Typer) -> object:
    return RUNNER.invoke(failing, ["--debug", "info"]).exception


def debug_environment(failing: typer.Typer) -> object:
    return RUNNER.invoke(failing, ["info"], env={"FISHER_MLIP_DEBUG": "1"}).exception


@pytest.mark.parametrize("run", [debug_option, debug_environment])
def test_debug_keeps_the_traceback(run: Callable[[typer.Typer], object]) -> None:
    failure = InputError("expected frames, found none")
    assert run(app_that_fails(failure)) is failure


def test_programming_errors_keep_the_traceback() -> None:
    failure = TypeError("a bug")
    assert RUNNER.invoke(app_that_fails(failure), ["info"]).exception is failure


def test_input_error_through_the_real_process() -> None:
    done = run_command("info", "absent.xyz")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: expected a file or folder 'absent.xyz', found none\n"
    assert "Traceback" in run_command("--debug", "info", "absent.xyz").stderr


def test_unknown_command_is_a_usage_error() -> None:
    assert RUNNER.invoke(app, ["fly"]).exit_code == 2


@pytest.mark.parametrize("name", ORDER)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = RUNNER.invoke(app, [name, "--help"])
    assert result.exit_code == 0
    if name != "data":
        assert "Example" in result.stdout


# A shell's background jobs ignore Ctrl-C, and so would the children of tests in one.
HANGING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from fisher_mlip.cli.app import app
from fisher_mlip.products import whole_folder

@app.command()
def hang(folder: Path) -> None:
    with whole_folder(folder) as partial:
        (partial / "weights").write_text("half")
        print("writing", flush=True)
        time.sleep(60)

app(["hang", sys.argv[1]])
"""


@pytest.mark.parametrize(
    ("number", "sentence"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")]
)
def test_a_command_that_is_stopped_leaves_nothing_half_written(
    tmp_path: Path, number: signal.Signals, sentence: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read().strip() == sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command", ["train", "finetune", "export", "verify", "simulate", "analyze"]
)
def test_help_on_a_narrow_terminal_names_options_whole(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run_command(command, "--help")
    assert done.returncode == 0
    assert "…" not in done.stdout
