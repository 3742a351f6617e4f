"""C++ compiled once for what is installed, and kept in the user's cache.

Nothing but the standard library is imported: every `lmp` of the environment looks here.
"""

import fcntl
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

COMPILERS = ("g++", "clang++", "c++")
SUMS_NAME = "sha256.json"
LOG_NAME = "build.log"


class BuildError(Exception):
    """Something cannot be built here; the reason in one sentence."""


def cache_folder(kind: str) -> Path:
    """Return where builds of a kind are kept: $XDG_CACHE_HOME/fisher-mlip/KIND.

    The default is ~/.cache. A relative path there means nothing, as the XDG Base Directory
    Specification has it.
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = given if given.is_absolute() else Path.home() / ".cache"
    return home / "fisher-mlip" / kind


def find_compiler() -> list[str]:
    """Return the command of a C++ compiler, in words: $CXX, or the first that is there.

    Raises:
        BuildError: there is none, or $CXX is no command.
    """
    wanted = os.environ.get("CXX", "")
    candidates = (wanted,) if wanted else COMPILERS
    for command in candidates:
        try:
            words = shlex.split(command)
        except ValueError as failure:
            raise BuildError(f"expected a command in CXX, found '{command}': {failure}") from None
        if words and shutil.which(words[0]):
            return words
    raise BuildError(
        f"expected a C++ compiler ({', '.join(candidates)}), found none: install g++, or set CXX"
    )


def processor_flags() -> set[str]:
    """Return the instruction sets of this processor, as Linux names them."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return set(value.split())
    return {platform.processor() or platform.machine()}


def folder_for(kind: str, source: Path, facts: Sequence[object]) -> Path:
    """Return where the build of the files in a folder is kept, for versions and options."""
    digest = hashlib.sha256()
    for file in sorted(source.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    digest.update(repr([str(fact) for fact in facts]).encode())
    return cache_folder(kind) / digest.hexdigest()[:16]


def is_whole(folder: Path) -> bool:
    """Tell whether a build is there as it was made; a torn library would end its process."""
    try:
        sums = json.loads((folder / SUMS_NAME).read_text(encoding="utf-8"))
        return bool(sums) and all(_sum_of(folder / name) == found for name, found in sums.items())
    except (OSError, ValueError, AttributeError):
        return False


def build_once(folder: Path, names: Sequence[str], make: Callable[[Path], None], what: str) -> None:
    """Make a folder whole or not at all, if it is not there.

    Processes that race for it wait for the first of them.

    Args:
        folder: in the cache.
        names: of the files that are kept.
        make: writes them into an empty folder beside it.
        what: is built, in words.

    Raises:
        BuildError: the folder cannot be written, or `make` raises it.
    """
    # Where it is there, nothing need be writable.
    if is_whole(folder):
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _held(folder.parent / f"{folder.name}.lock"):
            if not is_whole(folder):
                _make_beside(folder, names, make)
    except OSError as failure:
        raise BuildError(f"cannot write {what} into '{folder}': {failure.strerror}") from None


def run_compiler(command: Sequence[str], log: Path, what: str) -> None:
    """Run a compiler.

    Args:
        command: in words.
        log: where its messages are kept when it fails.
        what: it compiles, in words.

    Raises:
        BuildError: it failed.
    """
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode == 0:
        return
    log.write_text(" ".join(command) + "\n\n" + ended.stderr, encoding="utf-8")
    lines = [line for line in ended.stderr.splitlines() if "error" in line] or ["it said nothing"]
    raise BuildError(
        f"{command[0]} could not compile {what}: {lines[0].strip()[:200]} (all of it in '{log}')"
    )


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock; where the file system knows none, the rename still keeps builds whole."""
    with path.open("w") as handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _sum_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _make_beside(folder: Path, names: Sequence[str], make: Callable[[Path], None]) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        make(partial)
        for path in partial.iterdir():
            if path.name not in names:
                path.unlink()
        sums = {name: _sum_of(partial / name) for name in names}
        (partial / SUMS_NAME).write_text(json.dumps(sums), encoding="utf-8")
        partial.chmod(0o755)
        if not is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
        try:
            partial.rename(folder)
        except OSError:
            # Another process was first, without a lock that both know.
            if not is_whole(folder):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
