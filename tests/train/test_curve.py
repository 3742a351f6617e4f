"""The training curve as it grows on the disk."""

from pathlib import Path

import pytest

from fisher_mlip.train.curve import EpochRow, append_row


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "training.csv"
    path.symlink_to("/dev/full")
    values = dict.fromkeys(EpochRow.__dataclass_fields__, 1.0)
    with pytest.raises(OSError, match="No space left") as failure:
        append_row(path, EpochRow(**values))  # type: ignore[arg-type]
    assert failure.value.filename == str(path)
