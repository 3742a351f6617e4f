"""What scans ask energies to rise by, beside what a reference's energies do rise by.

    python scripts/check_scans.py --data DIR [--calculator tblite] [--frames 100] [--starts 3]

DIR holds rMD17's train.xyz and isolated_atoms.xyz. Scans are made of the frames; the calculator
(GFN2-xTB by tblite, or any ASE calculator) labels their points. Prints a table and, last, JSON.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from fisher_mlip.data import Frames, read_frames
from fisher_mlip.data.calculators import build_calculator
from fisher_mlip.data.labeling import label_frames
from fisher_mlip.errors import InputError
from fisher_mlip.fisher.outside.scan import Scan
from fisher_mlip.fisher.outside.scans import make_scans

QUANTILES = (0.01, 0.05, 0.5, 0.95)


def ratios(scan: Scan, calculator: object) -> tuple[np.ndarray, bool] | None:
    """Return true rise over asked rise where the scan is reached, and whether it has a hole.

    None where the calculator fails on a point.
    """
    try:
        labelled = label_frames(Frames(scan.points), calculator, skip_failed=True).frames
    except InputError:
        return None
    if len(labelled) < len(scan.points):
        return None
    energies = np.array([frame.energy for frame in labelled], dtype=np.float64)
    reached = scan.reachable(energies)
    return (np.diff(energies) / scan.rise)[reached], bool(np.isfinite(scan.barrier(energies)))


def main() -> None:
    """Parse the command line, label, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of rMD17 ethanol")
    parser.add_argument("--calculator", default="tblite", help="ASE calculator")
    parser.add_argument("--frames", type=int, default=100, help="that scans leave")
    parser.add_argument("--starts", type=int, default=3, help="frames that scans start from")
    options = parser.parse_args()
    everything = read_frames(options.data / "train.xyz")
    frames = everything.subset(
        np.random.default_rng(0).permutation(len(everything))[: options.frames]
    )
    calculator = build_calculator(options.calculator, {})
    found: dict[str, list[tuple[np.ndarray, bool]]] = {}
    for scan in make_scans(frames, n_starts=options.starts):
        labelled = ratios(scan, calculator)
        if labelled is not None:
            found.setdefault(scan.kind, []).append(labelled)
    titles = ("scans", "holes", "intervals", "less than asked", *(f"{q:.0%}" for q in QUANTILES))
    shown = Table("kind", *titles, title="true rise over asked rise")
    summary: dict[str, dict[str, float]] = {}
    for kind, rows in found.items():
        ratio = np.concatenate([row[0] for row in rows])
        numbers = [len(rows), sum(row[1] for row in rows), len(ratio), float(np.mean(ratio < 1.0))]
        numbers += np.quantile(ratio, QUANTILES).tolist()
        summary[kind] = dict(zip(titles, numbers, strict=True))
        shown.add_row(kind, *(f"{number:.3g}" for number in numbers))
    Console(width=120).print(shown)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
