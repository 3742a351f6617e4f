"""The compiled kernel, made and compared in a process of its own.

A compiler, or a kernel that it made wrong, can end the process that runs it (a memory fault); the
export that asked for it then goes without.
"""

import signal
import subprocess
import sys
from pathlib import Path

from fisher_mlip.config import Config, parse_config
from fisher_mlip.export.artefact import Artefact, load_artefact
from fisher_mlip.export.compiling import remove_compiled
from fisher_mlip.export.parity import Parity, add_compiled_if_same, probe_frames
from fisher_mlip.products import read_json, write_json

_ORDER_NAME, _RESULT_NAME = ".compile-order.json", ".compile-result.json"


class Order(Config):
    """What is compiled and what it is compared on.

    Attributes:
        checkpoint: folder that the artefact was made from.
        frames: file of frames beside the probes, "" for none.
        seed: of the probes.
    """

    checkpoint: str
    frames: str
    seed: int


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
    order = Order(
        checkpoint=str(checkpoint.resolve()),
        frames=str(frames.resolve()) if frames else "",
        seed=seed,
    )
    try:
        write_json(folder / _ORDER_NAME, order.model_dump())
        command = [sys.executable, "-m", __name__, str(folder)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            found = read_json(folder / _RESULT_NAME, ["parity", "why"])
            return (Parity(**found["parity"]) if found["parity"] else None), found["why"]
        remove_compiled(folder)
        return None, f"the process that compiled and tried it {_how(ended)}"
    finally:
        for name in (_ORDER_NAME, _RESULT_NAME):
            (folder / name).unlink(missing_ok=True)


def _how(ended: subprocess.CompletedProcess[str]) -> str:
    """Say how a process failed."""
    if ended.returncode < 0:
        return f"was ended by {signal.Signals(-ended.returncode).name}"
    last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return f"failed with exit code {ended.returncode}: {last[:200]}"


def main(folder: Path) -> None:
    """Do what the order in the folder says, and write what came out beside it."""
    from dataclasses import asdict

    from fisher_mlip.data import read_frames
    from fisher_mlip.model.checkpoint import load_checkpoint

    order = parse_config(read_json(folder / _ORDER_NAME), Order, "the order of a kernel")
    loaded = load_checkpoint(Path(order.checkpoint))
    own = list(read_frames(Path(order.frames))) if order.frames else []
    frames = [*probe_frames(loaded.config.elements, order.seed), *own]
    parity, why = add_compiled_if_same(load_artefact(folder), loaded, frames)
    content = {"parity": asdict(parity) if parity else None, "why": why}
    write_json(folder / _RESULT_NAME, content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
