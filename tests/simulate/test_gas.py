"""Independent molecules on a grid."""

from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.data import Frame, Frames, write_frames
from fisher_mlip.data.ethanol import ATOMIC_NUMBERS, ethanol_positions
from fisher_mlip.errors import InputError
from fisher_mlip.simulate.gas import ethanol_gas_positions


def _shortest_between(positions: np.ndarray) -> float:
    molecules = positions.reshape(-1, 9, 3)
    return min(
        np.linalg.norm(a[:, None] - b[None], axis=-1).min()
        for i, a in enumerate(molecules)
        for b in molecules[:i]
    )


def test_molecules_are_further_apart_than_the_cutoff() -> None:
    positions = ethanol_gas_positions(9, spacing=4.0, seed=0)
    assert positions.shape == (81, 3)
    assert _shortest_between(positions) > 4.0


@pytest.fixture
def start_frames(tmp_path: Path) -> Path:
    """Three ethanols, told apart by the height of their O-H hydrogen."""
    moved = [ethanol_positions() for _ in range(3)]
    for index, positions in enumerate(moved):
        positions[8, 2] += 0.1 * index
    path = tmp_path / "start.xyz"
    frames = tuple(Frame(ATOMIC_NUMBERS, p, energy=0.0, forces=0.0 * p) for p in moved)
    write_frames(path, Frames(frames))
    return path


def test_start_frames_are_drawn_by_the_seed_and_cycled(start_frames: Path) -> None:
    def heights(seed: int) -> list[int]:
        drawn = ethanol_gas_positions(6, spacing=3.0, seed=seed, start_frames=str(start_frames))
        molecules = drawn.reshape(-1, 9, 3)
        return np.round((molecules[:, 8, 2] - molecules[:, 2, 2]) / 0.1).astype(int).tolist()

    assert sorted(heights(0)[:3]) == [0, 1, 2]
    assert heights(0)[:3] == heights(0)[3:]
    assert len({tuple(heights(seed)) for seed in range(8)}) > 1


def test_start_frames_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pair.xyz"
    two = np.concatenate([ethanol_positions(), ethanol_positions() + 9.0])
    numbers = np.tile(ATOMIC_NUMBERS, 2)
    write_frames(path, Frames((Frame(numbers, two, energy=0.0, forces=0.0 * two),)))
    with pytest.raises(InputError, match="expected single ethanol molecules"):
        ethanol_gas_positions(2, spacing=3.0, seed=0, start_frames=str(path))
    with pytest.raises(InputError, match="found none"):
        ethanol_gas_positions(2, spacing=3.0, seed=0, start_frames=str(tmp_path / "absent.xyz"))


def _start(path: Path, positions: np.ndarray, pbc: tuple[bool, ...] = (False,) * 3) -> np.ndarray:
    """Return the molecules of a gas that starts from these positions and from good ones."""
    of_both = {"cell": np.eye(3) * 9.0, "pbc": np.array(pbc), "energy": 0.0}
    frames = (Frame(ATOMIC_NUMBERS, p, **of_both) for p in (ethanol_positions(), positions))
    write_frames(path, Frames(tuple(frames)))
    gas = ethanol_gas_positions(2, spacing=3.0, seed=0, start_frames=str(path)).reshape(2, 9, 3)
    return gas - gas[:, :1]


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, False)])
def test_a_start_frame_across_its_boundary_is_made_whole(
    pbc: tuple[bool, ...], tmp_path: Path
) -> None:
    torn = ethanol_positions() + 0.1
    torn[2:6] += 9.0 * np.array(pbc) * [1.0, 0.0, -1.0]
    expected = ethanol_positions() - ethanol_positions()[0]
    for molecule in _start(tmp_path / "a.xyz", torn, pbc):
        np.testing.assert_allclose(molecule, expected, atol=1e-6)
    with pytest.raises(InputError, match="whole ethanol molecule in frame 1"):
        _start(tmp_path / "b.xyz", torn)


@pytest.mark.parametrize(
    ("positions", "told"),
    [
        (
            ethanol_positions() * np.where(np.arange(9) == 8, 4.0, 1.0)[:, None],
            "whole ethanol molecule in frame 1",
        ),
        (
            ethanol_positions() * np.where(np.arange(9) == 8, np.nan, 1.0)[:, None],
            "frame 1 .* found NaN",
        ),
    ],
)
def test_start_frames_that_are_no_molecule_are_refused(
    positions: np.ndarray, told: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=told):
        _start(tmp_path / "a.xyz", positions)


@pytest.mark.parametrize(("unit", "factor"), [("nm", 0.1), ("Bohr", 1.8897261)])
def test_start_frames_in_another_unit_are_refused(unit: str, factor: float, tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    write_frames(path, Frames((Frame(ATOMIC_NUMBERS, ethanol_positions() * factor, energy=0.0),)))
    with pytest.raises(InputError, match=f"positions in '{path}' look like {unit}, expected Å"):
        ethanol_gas_positions(2, spacing=3.0, seed=0, start_frames=str(path))


@pytest.mark.real_data
def test_reference_frames_start_the_gas(real_data: Path) -> None:
    path = str(real_data / "test_MD.xyz")
    positions = ethanol_gas_positions(20, spacing=3.0, seed=1, start_frames=path)
    molecules = positions.reshape(-1, 9, 3)
    lengths = np.linalg.norm(molecules[:, 8] - molecules[:, 2], axis=-1)
    assert len(np.unique(lengths)) == 20
    assert ((lengths > 0.8) & (lengths < 1.3)).all()
