"""TorchScript itself, in the one place that touches it.

torch 2.12 calls TorchScript deprecated at each use. TorchForce reads nothing else, so here, and
only here, that one message is silenced.
"""

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from e3nn.util.jit import script

from fisher_mlip.errors import InputError
from fisher_mlip.products import write_bytes


@contextmanager
def without_deprecation() -> Iterator[None]:
    """Silence the notice that a `torch.jit` function is deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"`torch\.jit\.\w+` is deprecated", category=DeprecationWarning
        )
        yield


@contextmanager
def unoptimized() -> Iterator[None]:
    """Run scripts as they are: the optimizer changes last bits after the first calls."""
    with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
        yield


def run_unfused() -> None:
    """Have no operations of scripts fused in this process, those inside an engine included.

    An engine calls its copy from C++, where no context of ours reaches. After two calls torch would
    fuse what it has seen there, which changes the last bits: unfused, a run that is resumed repeats
    those of one that went on.
    """
    torch._C._jit_set_fusion_strategy([])


def save_script(module: torch.nn.Module, path: Path, extra: Mapping[str, str | bytes]) -> None:
    """Script a module (e3nn parts included) and save it with extra text files inside."""
    write_bytes(path, scripted(module, extra))


def scripted(module: torch.nn.Module, extra: Mapping[str, str | bytes] | None = None) -> bytes:
    """Return the file of a scripted module."""
    # Through memory: on a full disk torch's own writer ends the process.
    content = io.BytesIO()
    with without_deprecation():
        torch.jit.save(script(module), content, _extra_files=dict(extra or {}))
    return content.getvalue()


def load_script(source: Path | io.BytesIO) -> torch.jit.ScriptModule:
    """Load a script onto the CPU.

    Raises:
        InputError: torch cannot read it.
    """
    try:
        with without_deprecation():
            module: torch.jit.ScriptModule = torch.jit.load(
                str(source) if isinstance(source, Path) else source, map_location="cpu"
            )  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"torch cannot load '{source}': {reason}") from None
    return module
