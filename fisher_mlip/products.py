"""How every stage puts its product on disk: whole or not at all.

A file appears under its name only when it is complete (written beside it, synced, renamed).
A folder that a command makes in one go is filled under a temporary name and renamed.
"""

import fcntl
import glob
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fisher_mlip.errors import InputError

SUMMARY_NAME = "summary.json"
# One of these is in every folder that a command has made, or was making when it was killed.
_MARKS = (SUMMARY_NAME, "config.yaml", "training.csv", "training.yaml")


@contextmanager
def failures_named(path: Path, partial: Path | None = None) -> Iterator[None]:
    """Name the file in the failure of a write to it, which does not know its file.

    Args:
        path: the file.
        partial: a temporary name of it, which means nothing to anyone.

    Raises:
        OSError: what the block raises.
    """
    try:
        yield
    except OSError as failure:
        if failure.filename in (None, str(partial)) and failure.errno is not None:
            raise OSError(failure.errno, failure.strerror, str(path)) from failure
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    Raises:
        OSError: the disk is full or the folder cannot be written; `path` is untouched then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        with failures_named(path, partial):
            yield partial
            with partial.open("rb") as handle:
                os.fsync(handle.fileno())
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(
    path: Path, *, overwrite: bool = False, inputs: Iterable[Path | None] = ()
) -> Iterator[Path]:
    """Yield an empty temporary folder; rename it to `path` when the block succeeds.

    Args:
        path: the output.
        overwrite: whether what is there may be replaced.
        inputs: what the output is made of, never overwritten.

    Raises:
        InputError: `path` exists with something in it and `overwrite` is not set, or another
            process is running in it; or it is a file.
    """
    _sweep(path)
    refuse_existing(path, overwrite=overwrite, inputs=inputs)
    if path.exists() and not path.is_dir():
        raise InputError(f"expected a folder as output, found the file '{path}'")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    partial.mkdir()
    try:
        with locked_folder(partial):
            yield partial
        # Another process may have made it meanwhile, or may be running in it.
        refuse_existing(path, overwrite=overwrite)
        if path.is_dir() and not path.is_symlink():
            with locked_folder(path):
                _swap(partial, path)
        else:
            path.unlink(missing_ok=True)
            partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _swap(new: Path, path: Path) -> None:
    """Put a folder in the place of another; stopped at any point, one of the two is there whole."""
    aside = path.with_name(f".{path.name}.old-{uuid.uuid4().hex[:8]}")
    path.replace(aside)
    try:
        new.replace(path)
    except BaseException:
        aside.replace(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sweep(path: Path) -> None:
    """Remove what killed processes left of this folder; whoever is alive holds the lock of his.

    What was put aside and never replaced goes back.
    """
    for aside in path.parent.glob(f".{glob.escape(path.name)}.old-{'[0-9a-f]' * 8}"):
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.replace(path)
    for left in path.parent.glob(f".{glob.escape(path.name)}-{'[0-9a-f]' * 8}"):
        if left.is_dir():
            with suppress(InputError, OSError), locked_folder(left):
                shutil.rmtree(left)


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Hold a folder against other processes; a killed process lets go of it.

    Raises:
        InputError: another process holds it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InputError(f"another process is running in '{path}'") from None
    finally:
        os.close(handle)


def folder_identity(path: Path) -> tuple[int, int]:
    """Return what tells a folder from another one made later under the same name.

    Raises:
        FileNotFoundError: it is not there.
    """
    found = path.stat()
    return found.st_dev, found.st_ino


def sibling(path: Path, suffix: str) -> Path:
    """Return a folder beside `path` that is named after it; `.` has a name too."""
    whole = path if path.name not in ("", "..") else path.resolve()
    return whole.with_name(f"{whole.name}-{suffix}")


def _refuse_inputs(output: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse an output that is one of the inputs, or holds one: they would be gone."""
    place = output.resolve()
    for given in inputs:
        if given is not None and given.exists() and given.resolve().is_relative_to(place):
            what = "is" if given.resolve() == place else "holds"
            raise InputError(f"output '{output}' {what} the input '{given}': name another output")


def refuse_existing(
    path: Path, *, overwrite: bool = False, inputs: Iterable[Path | None] = ()
) -> None:
    """Refuse an output that exists, unless it is an empty folder or `overwrite` is set.

    Args:
        path: the output.
        overwrite: whether what is there may be replaced.
        inputs: what the output is made of; None for what was not given.

    Raises:
        InputError: the output exists; or it is a folder that no command of ours made, or no
            regular file, or one of the inputs or a folder that holds one: those are never
            overwritten.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if overwrite:
        _refuse_inputs(path, inputs)
        if path.is_dir() and not any((path / name).exists() for name in _MARKS):
            raise InputError(
                f"'{path}' is a folder that fisher-mlip did not make: name another output"
            )
        if not path.is_dir() and not path.is_file():
            raise InputError(f"'{path}' is no regular file: name another output")
        return
    raise InputError(f"output '{path}' exists: name another one or pass --overwrite")


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all.

    Writers of other libraries fail in their own ways on a full disk (torch's ends the process), so
    what they make goes through here.
    """
    with whole_file(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON; a NaN or infinity is written as null.

    JSON has no NaN, and readers of other languages stop at it.
    """
    write_text(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def write_summary(folder: Path, summary: Mapping[str, Any]) -> Path:
    """Write `summary.json` into `folder` and return its path."""
    path = folder / SUMMARY_NAME
    write_json(path, summary)
    return path


def read_json(path: Path, keys: Iterable[str] = ()) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.
        keys: that it must have.

    Raises:
        InputError: the file is missing, no JSON, not an object, or one without a key.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"expected a file '{path}', found none") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"expected JSON in '{path}', found: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"expected a JSON object in '{path}', found a {type(content).__name__}")
    for key in keys:
        if key not in content:
            found = ", ".join(content) or "no keys"
            raise InputError(f"expected a key '{key}' in '{path}', found {found}")
    return content


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
