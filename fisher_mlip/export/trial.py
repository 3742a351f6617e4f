"""The compiled kernel, made and compared in a process of its own.

A compiler, or a kernel that it made wrong, can end the process that runs it (a memory fault); the
export that asked for it then goes without.
"""

import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from fisher_mlip.data import read_frames
from fisher_mlip.export.artefact import Artefact, load_artefact
from fisher_mlip.export.compiling import remove_compiled
from fisher_mlip.export.parity import Parity, add_compiled_if_same, probe_frames
from fisher_mlip.model.checkpoint import load_checkpoint
from fisher_mlip.products import read_json, write_json

_RESULT_NAME = ".compile-result.json"


def compile_apart(
    artefact: Artefact, checkpoint: Path, frames: Path | None, seed: int
) -> tuple[Parity | None, str]:
    """Compile an artefact's kernel in another process, and keep it only if it is the model there.

    Args:
        artefact: as written by `write_artefact`.
        checkpoint: folder that it was made from.
        frames: a file of frames that it is compared on, beside the probes.
        seed: of the probes.

    Returns:
        the differences, and ""; or None, and in words why there is no compiled kernel.
    """
    folder = artefact.path.parent
    result = folder / _RESULT_NAME
    given = [str(folder), str(checkpoint), str(seed), *([str(frames)] if frames else [])]
    command = [sys.executable, "-m", __name__, *given]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        remove_compiled(folder)
        return None, f"the process that compiled and tried it {_how(ended)}"
    found = read_json(result, ["parity", "why"])
    result.unlink()
    return (Parity(**found["parity"]) if found["parity"] else None), found["why"]


def _how(ended: subprocess.CompletedProcess[str]) -> str:
    """Say how a process failed."""
    if ended.returncode < 0:
        return f"was ended by {signal.Signals(-ended.returncode).name}"
    last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return f"failed with exit code {ended.returncode}: {last[:200]}"


def main(folder: Path, checkpoint: Path, seed: int, frames: Path | None) -> None:
    """Compile an artefact's kernel, compare it, and write what came out beside it."""
    loaded = load_checkpoint(checkpoint)
    own = list(read_frames(frames)) if frames else []
    compared = [*probe_frames(loaded.config.elements, seed), *own]
    parity, why = add_compiled_if_same(load_artefact(folder), loaded, compared)
    content = {"parity": asdict(parity) if parity else None, "why": why}
    write_json(folder / _RESULT_NAME, content)


if __name__ == "__main__":
    folder, checkpoint, seed, *frames = sys.argv[1:]
    main(Path(folder), Path(checkpoint), int(seed), Path(frames[0]) if frames else None)
