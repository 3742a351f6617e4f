"""Time and memory per atom of one artefact in OpenMM, from a small liquid box to a large one.

    python scripts/benchmark_scale.py exported --output docs/scale.json

Boxes are one equilibrated box of 100 ethanols repeated along its edges, so that all have the same
neighbors. A JSON line for each box and number of threads, each measured in a process of its own as
`benchmark_speed.py` does; the last line has the largest cost over the smallest, and how much two
threads bring. Memory per atom is what a process of that box takes beyond one of the smallest.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ase.io import read, write
from benchmark_speed import Line, conditions, liquid_box, measure, median, of_ours

from fisher_mlip.products import whole_file

REPEATS = ((1, 1, 1), (2, 2, 1), (2, 2, 2), (4, 2, 2), (4, 4, 3))
MOLECULES = 100


def main() -> None:
    """Measure, print and write."""
    options = parse_options()
    lines = []
    for line in measured(options):
        print(json.dumps(line), flush=True)
        lines.append(line)
    last = conditions(liquid_box(MOLECULES)) | summary(lines)
    print(json.dumps(last), flush=True)
    if options.output:
        with whole_file(options.output) as partial:
            partial.write_text(json.dumps({"lines": lines, **last}, indent=1) + "\n")


def measured(options: argparse.Namespace) -> Iterator[Line]:
    """Yield the line of each box and number of threads."""
    small = read(liquid_box(MOLECULES))
    with tempfile.TemporaryDirectory() as name:
        for repeats in REPEATS[: options.boxes]:
            box = Path(name) / "box.xyz"
            write(box, small.repeat(repeats), format="extxyz")
            for threads in options.threads:
                given = argparse.Namespace(**(vars(options) | {"threads": threads}))
                yield measure(of_ours(options.artefact, options.route), given, box, "tuned")


def summary(lines: list[Line]) -> Line:
    """Return the spread of the cost by threads, the memory per atom, the gain of more threads."""
    done = [line for line in lines if "error" not in line]
    threads = sorted({line["threads"] for line in done})
    by_threads = {n: [line for line in done if line["threads"] == n] for n in threads}
    found: Line = {"largest_over_smallest": {}, "kb_per_atom": {}, "gain_over_one_thread": {}}
    for n, own in by_threads.items():
        costs = [median(line) for line in own]
        found["largest_over_smallest"][n] = round(max(costs) / min(costs), 3)
        first = own[0]
        found["kb_per_atom"][n] = [
            round(1e6 * (line["peak_gb"] - first["peak_gb"]) / (line["atoms"] - first["atoms"]), 1)
            for line in own[1:]
        ]
        found["gain_over_one_thread"][n] = [
            round(median(one) / median(line), 2)
            for one, line in zip(by_threads[threads[0]], own, strict=True)
        ]
    return found


def parse_options() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artefact", type=Path, help="folder of an export")
    parser.add_argument("--route", default="python", choices=("torchforce", "python"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--boxes", type=int, default=len(REPEATS), help="so many, small ones first")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--output", type=Path, help="JSON file of all lines")
    return parser.parse_args()


if __name__ == "__main__":
    main()
