"""Environments of other potentials, from PyPI, each by itself: they pin different e3nn.

They lie in $XDG_CACHE_HOME/fisher-mlip/peers (default: ~/.cache), whole or not at all, and are
made once for each version and list of requirements.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fisher_mlip.products import whole_folder

WORKERS = Path(__file__).parent / "peers"
REQUIREMENTS_FILE = "requirements.txt"


@dataclass(frozen=True)
class Peer:
    """A potential of others.

    Attributes:
        name: as our command line says it.
        version: of `requirements[0]`.
        requirements: what is installed.
        worker: the script that runs in its environment.
        routes: the ways to run it.
        compiled_ahead: whether the route `compiled` needs a file that a command writes.
    """

    name: str
    version: str
    requirements: tuple[str, ...]
    worker: Path
    routes: tuple[str, ...]
    compiled_ahead: bool


_SHARED = ("torch==2.12.*", "openmmml==1.8", "openmm>=8.5.2,<9")
PEERS = {
    "nequip": Peer(
        "nequip",
        "0.19.1",
        ("nequip==0.19.1", *_SHARED),
        WORKERS / "nequip_worker.py",
        ("eager", "compiled", "openmm"),
        compiled_ahead=True,
    ),
    "mace": Peer(
        "mace",
        "0.3.16",
        ("mace-torch==0.3.16", *_SHARED),
        WORKERS / "mace_worker.py",
        ("eager", "compiled", "openmm"),
        compiled_ahead=False,
    ),
}


def peers_folder() -> Path:
    """Return where environments and models of peers are kept."""
    # A relative XDG_CACHE_HOME is to be ignored, says the specification.
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    cache = given if given.is_absolute() else Path.home() / ".cache"
    return cache / "fisher-mlip" / "peers"


def peer_python(peer: Peer) -> Path:
    """Return the interpreter of a peer's environment, which is made if it is not there.

    Its commands are run as modules (`python -m`): the folder is made under another name, which
    scripts in `bin` would go on naming.

    Raises:
        RuntimeError: it cannot be made, with the last line of what the installer said.
    """
    folder = peers_folder() / f"{peer.name}-{peer.version}"
    wanted = "\n".join(peer.requirements) + "\n"
    written = folder / REQUIREMENTS_FILE
    if not written.is_file() or written.read_text() != wanted:
        print(f"{folder} is made (some 6 GB, a few minutes)", file=sys.stderr)
        with whole_folder(folder, overwrite=True) as partial:
            _install(partial, peer.requirements)
            (partial / REQUIREMENTS_FILE).write_text(wanted)
    return folder / "bin" / "python"


def _install(folder: Path, requirements: tuple[str, ...]) -> None:
    python = str(folder / "bin" / "python")
    # Without pip where there is uv, which needs none.
    uv = _find_uv()
    bare = ["--without-pip"] if uv else []
    _run([sys.executable, "-m", "venv", *bare, str(folder)])
    if uv:
        _run([uv, "pip", "install", "--quiet", "--python", python, *requirements])
    else:
        _run([python, "-m", "pip", "install", "--quiet", *requirements])


def _find_uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        lines = (ended.stdout + ended.stderr).strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"{Path(command[0]).name} failed: {lines[-1]}")
