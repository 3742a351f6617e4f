"""Cutting back what a killed run wrote after its checkpoint."""

from pathlib import Path

import numpy as np
import pytest
from mdtraj.formats import DCDTrajectoryFile

from fisher_mlip.errors import InputError
from fisher_mlip.simulate.cutting import cut_rows, cut_trajectory

ROWS = '#"Step","x"\n0,1.0\n3,2.0\n6,3.0\n9,4.0\n'


@pytest.mark.parametrize(("step", "last"), [(9, "9,4.0\n"), (8, "6,3.0\n"), (0, "0,1.0\n")])
@pytest.mark.parametrize("torn", ["", "1", "12,5.", "12", "\n", "no row\n12,5.0\n"])
def test_rows_after_the_step_and_a_torn_line_go(
    step: int, last: str, torn: str, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.csv"
    path.write_text(ROWS + torn)
    cut_rows(path, step, 3)
    assert path.read_text() == ROWS[: ROWS.index(last) + len(last)]


@pytest.mark.parametrize("text", ["", ROWS.replace("3,2.0\n", ""), ROWS.replace("9,4.0\n", "")])
def test_missing_rows_are_told(text: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="expected 4 rows up to the checkpoint at step 9"):
        cut_rows(path, 9, 3)
    assert path.read_text() == text


@pytest.mark.parametrize("garbage", ["\n", "no row\n", "3;2.0\n"])
def test_garbage_among_the_rows_is_told(garbage: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    path.write_text(ROWS.replace("3,2.0\n", garbage))
    with pytest.raises(InputError, match=r"ledger.csv', found 1 and then .* in line 3") as told:
        cut_rows(path, 9, 3)
    assert repr(garbage) in str(told.value)


def _write(path: Path, frames: np.ndarray, periodic: bool) -> None:
    cell = np.full((len(frames), 3), 20.0, dtype=np.float32)
    with DCDTrajectoryFile(str(path), "w") as file:
        file.write(frames, *((cell, cell * 4.5) if periodic else ()))


def _read(path: Path) -> np.ndarray:
    with DCDTrajectoryFile(str(path)) as file:
        return np.asarray(file.read()[0])


# With 12 atoms a record of x is as long as one of a cell.
@pytest.mark.parametrize("n_atoms", [5, 12])
@pytest.mark.parametrize("periodic", [True, False])
def test_trajectory_is_cut_to_the_byte(n_atoms: int, periodic: bool, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).normal(size=(6, n_atoms, 3)).astype(np.float32)
    path, expected = tmp_path / "a.dcd", tmp_path / "b.dcd"
    _write(path, frames, periodic)
    _write(expected, frames[:4], periodic)
    path.write_bytes(path.read_bytes()[:-7])
    cut_trajectory(path, 4)
    assert path.stat().st_size == expected.stat().st_size
    assert path.read_bytes()[:92] == expected.read_bytes()[:92]
    assert np.array_equal(_read(path), frames[:4])
    with pytest.raises(InputError, match=r"expected 5 frames .* found 4"):
        cut_trajectory(path, 5)
    cut_trajectory(path, 0)
    assert not path.exists()


def test_no_trajectory_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a DCD"):
        cut_trajectory(tmp_path / "absent.dcd", 1)
    (tmp_path / "a.dcd").write_bytes(b"short")
    with pytest.raises(InputError, match="expected a DCD"):
        cut_trajectory(tmp_path / "a.dcd", 1)
