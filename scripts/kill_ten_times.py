"""One run killed with SIGKILL at ten random moments, against one that was left alone, as JSON.

Each process is started by the same command line, with `--restart auto`, and killed when the ledger
has reached a step drawn at random and a random part of a second has passed. Rows (but speeds and
list rebuilds), frames and the last state must then be those of the uninterrupted run to the last
bit; the exit status is 1 where they are not.

    python scripts/kill_ten_times.py model.pt -o kills -- --ensemble npt --system ethanol-liquid
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mdtraj
import numpy as np

from fisher_mlip.data.frames import FloatArray

# Longest wait for a step, s.
PATIENCE = 1800.0


def main() -> None:
    """Run, kill, compare, print."""
    options = parse_options()
    command = [
        *(sys.executable, "-m", "fisher_mlip", "simulate", str(options.model)),
        *("--report-interval", "1", "--restart", "auto", *options.given),
    ]
    whole, killed = options.output / "whole", options.output / "killed"
    # Both go on from one first step: a liquid is not packed and equilibrated twice to the last bit.
    finish([*command, "--steps", "1"], whole)
    shutil.copytree(whole, killed)
    command += ["--steps", str(options.steps)]
    finish(command, whole)
    generator = np.random.default_rng(options.seed)
    targets = np.sort(generator.integers(1, options.steps, options.kills))
    at_kill = []
    for target in targets:
        delay = float(generator.uniform(0.0, options.longest_delay))
        at_kill.append(kill_at(command, killed, int(target), delay))
    finish(command, killed)
    result = {
        "kills": options.kills,
        "steps": options.steps,
        "targets": targets.tolist(),
        "last_row_at_kill": at_kill,
        "given": options.given,
        **compare(killed, whole),
    }
    print(json.dumps(result))
    sys.exit(0 if all(result[key] for key in ("same_rows", "same_frames", "same_state")) else 1)


def finish(command: list[str], run: Path) -> None:
    """Start or go on with the run and let it end."""
    subprocess.run([*command, "-o", str(run)], check=True, stdout=subprocess.DEVNULL)


def kill_at(command: list[str], run: Path, target: int, delay: float) -> int:
    """Start or go on with the run, kill it some time after a step, return its last row's step."""
    process = subprocess.Popen(
        [*command, "-o", str(run)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + PATIENCE
    while last_step(run / "ledger.csv") < target and process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
            sys.exit(f"step {target} was not reached in {PATIENCE:g} s")
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        sys.exit(f"the run ended with {process.returncode}: {errors.decode()}")
    return last_step(run / "ledger.csv")


def last_step(ledger: Path) -> int:
    """Return the step of the last whole row, -1 for none."""
    lines = ledger.read_bytes().splitlines(keepends=True) if ledger.exists() else []
    whole = [line for line in lines[1:] if line.endswith(b"\n")]
    return int(whole[-1].split(b",")[0]) if whole else -1


def compare(run: Path, other: Path) -> dict[str, object]:
    """Return whether two runs have the same rows, frames and state, and how many."""
    rows, frames, state = content(run)
    other_rows, other_frames, other_state = content(other)
    return {
        "rows": len(rows) - 1,
        "frames": len(frames),
        "segments": len(segments(run)),
        "same_rows": rows == other_rows,
        "same_frames": bool(np.array_equal(frames, other_frames)),
        "same_state": state == other_state,
    }


def ledger_rows(run: Path) -> list[str]:
    """Return the ledger's rows without what a process decides: speed, and when lists were built."""
    lines = [line.split(",") for line in (run / "ledger.csv").read_text().splitlines()]
    left_out = ('"Speed', '"List Rebuilds')
    kept = [k for k, column in enumerate(lines[0]) if not column.startswith(left_out)]
    return [",".join(line[k] for k in kept) for line in lines]


def content(run: Path) -> tuple[list[str], FloatArray, str]:
    """Return a run's rows, its frames in nm, and its last state."""
    rows = ledger_rows(run)
    top = str(run / "topology.pdb")
    frames = [mdtraj.load_dcd(str(path), top=top).xyz for path in segments(run)]
    return rows, np.concatenate(frames), (run / "state.xml").read_text()


def segments(run: Path) -> list[Path]:
    """Return the files of a run's trajectory in their order."""
    return sorted(run.glob("trajectory*.dcd"), key=lambda path: ("part" in path.name, path))


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="exported model: model.pt or its folder")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--longest-delay", type=float, default=0.5, help="s, after the step")
    parser.add_argument("-o", "--output", type=Path, default=Path("kills"))
    arguments, given = sys.argv[1:], []
    if "--" in arguments:
        given = arguments[arguments.index("--") + 1 :]
        arguments = arguments[: arguments.index("--")]
    parser.epilog = "After --: options of `fisher-mlip simulate`."
    options = parser.parse_args(arguments)
    options.given = given
    return options


if __name__ == "__main__":
    main()
