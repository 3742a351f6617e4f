"""Scans as arrays and back: exact, whatever their sizes."""

import numpy as np

from fisher_mlip.data.frames import Frame
from fisher_mlip.fisher.outside.scan import Scan
from fisher_mlip.fisher.outside.scan_store import scan_arrays, scans_of


def scan(kind: str, n_points: int, n_atoms: int, seed: int) -> Scan:
    rng = np.random.default_rng(seed)
    points = tuple(
        Frame(
            rng.integers(1, 9, n_atoms),
            rng.normal(size=(n_atoms, 3)),
            rng.normal(size=(3, 3)),
            rng.integers(0, 2, 3).astype(bool),
        )
        for _ in range(n_points)
    )
    path, rise = rng.normal(size=n_points), rng.normal(size=n_points - 1)
    return Scan(kind, f"way {seed}", points, path, rise)  # type: ignore[arg-type]


def test_scans_of_several_sizes_come_back() -> None:
    made = [scan("stretch", 3, 2, 0), scan("mode", 2, 5, 1), scan("contact", 7, 1, 2)]
    arrays, labels = scan_arrays(made)
    assert all(name.startswith("scans:") for name in arrays)
    again = scans_of({**arrays, "readout": np.zeros(2)}, labels)
    for one, other in zip(again, made, strict=True):
        assert (one.kind, one.name) == (other.kind, other.name)
        assert np.array_equal(one.path, other.path)
        assert np.array_equal(one.rise, other.rise)
        for mine, theirs in zip(one.points, other.points, strict=True):
            for name in ("atomic_numbers", "positions", "cell", "pbc"):
                assert np.array_equal(getattr(mine, name), getattr(theirs, name))
                assert getattr(mine, name).dtype == getattr(theirs, name).dtype


def test_no_scans_are_none() -> None:
    assert scans_of({}, []) == []
