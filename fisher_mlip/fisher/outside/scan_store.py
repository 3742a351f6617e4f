"""Scans as arrays and back, for the file that a finetune can go on from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fisher_mlip.data.frames import Frame
from fisher_mlip.fisher.outside.scan import Scan

Arrays = dict[str, Any]
PREFIX = "scans:"


def scan_arrays(scans: Sequence[Scan]) -> tuple[Arrays, list[dict[str, str]]]:
    """Return arrays by name, and kind and name of each scan."""
    points = [frame for scan in scans for frame in scan.points]
    arrays = {
        "n_points": np.array([len(scan.points) for scan in scans], dtype=np.int64),
        "n_atoms": np.array([frame.n_atoms for frame in points], dtype=np.int64),
        "path": np.concatenate([scan.path for scan in scans]),
        "rise": np.concatenate([scan.rise for scan in scans]),
        "atomic_numbers": np.concatenate([frame.atomic_numbers for frame in points]),
        "positions": np.concatenate([frame.positions for frame in points]),
        "cell": np.stack([frame.cell for frame in points]),
        "pbc": np.stack([frame.pbc for frame in points]),
    }
    labels = [{"kind": scan.kind, "name": scan.name} for scan in scans]
    return {PREFIX + name: np.ascontiguousarray(a) for name, a in arrays.items()}, labels


def scans_of(tensors: Mapping[str, Any], labels: Sequence[Mapping[str, Any]]) -> list[Scan]:
    """Return the scans that `scan_arrays` took apart."""
    if not labels:
        return []
    array = {k.removeprefix(PREFIX): v for k, v in tensors.items() if k.startswith(PREFIX)}
    atoms = np.cumsum(array["n_atoms"])[:-1]
    points = [
        Frame(numbers, positions, cell, pbc)
        for numbers, positions, cell, pbc in zip(
            np.split(array["atomic_numbers"], atoms),
            np.split(array["positions"], atoms),
            array["cell"],
            array["pbc"],
            strict=True,
        )
    ]
    sizes = array["n_points"]
    ends = np.cumsum(sizes)
    paths = np.split(array["path"], ends[:-1])
    rises = np.split(array["rise"], np.cumsum(sizes - 1)[:-1])
    return [
        Scan(**label, points=tuple(points[end - size : end]), path=path, rise=rise)
        for label, size, end, path, rise in zip(labels, sizes, ends, paths, rises, strict=True)
    ]
