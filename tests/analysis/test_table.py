"""Ledgers as they are found on disk."""

from pathlib import Path

import numpy as np
import pytest

from fisher_mlip.analysis.table import read_table
from fisher_mlip.errors import InputError

HEADER = '#"Step","Time (ps)","Speed (ns/day)"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "ledger.csv"
    path.write_text(text)
    return path


def test_float64_survives_and_unknown_speed_is_nan(tmp_path: Path) -> None:
    value = -239999999.99999998
    table = read_table(written(tmp_path, f"{HEADER}0,{value!r},--\n10,-1e-3,2.5\n"))
    assert table.columns == ("Step", "Time (ps)", "Speed (ns/day)")
    assert table.column("Time (ps)").tolist() == [value, -1e-3]
    assert np.isnan(table.column("Speed (ns/day)")[0])
    assert not table.is_torn


@pytest.mark.parametrize("tail", ["20,0.2,1", "20,0.", "2", "\x00\x00"])
def test_torn_last_line_is_left_out(tmp_path: Path, tail: str) -> None:
    table = read_table(written(tmp_path, f"{HEADER}0,0.0,1.0\n10,0.1,1.0\n{tail}"))
    assert table.is_torn
    assert table.values[:, 0].tolist() == [0.0, 10.0]


@pytest.mark.parametrize("blank", ["\n", "  \n", "\r\n", "\n\n"])
def test_blank_lines_are_left_out(tmp_path: Path, blank: str) -> None:
    table = read_table(written(tmp_path, f"{HEADER}{blank}0,0.0,1.0\n{blank}10,0.1,1.0\n{blank}"))
    assert table.values[:, 0].tolist() == [0.0, 10.0]
    assert not table.is_torn
    assert read_table(written(tmp_path, f"{HEADER}{blank}")).values.shape == (0, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "header"),
        ("Step,Time\n0,1\n", "header"),
        (f"{HEADER}0,0.0,1.0\n10,zero,1.0\n", "rows of numbers"),
        (f"{HEADER}0,0.0,1.0\n10,1.0\n", "rows of numbers"),
        (f"{HEADER}0,0.0\n10,1.0\n", "expected 3 columns"),
        (f"{HEADER}0,0.0,1.0\n0,0.1,1.0\n", "rising steps"),
        ('#"Time (ps)","Step"\n0,0.0\n', "'Step' as the first column"),
    ],
)
def test_what_is_no_ledger_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_table(written(tmp_path, text))


def test_missing_file_and_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        read_table(tmp_path / "ledger.csv")
    table = read_table(written(tmp_path, f"{HEADER}0,0.0,1.0\n"))
    with pytest.raises(InputError, match="expected a column 'Volume'"):
        table.column("Volume")
