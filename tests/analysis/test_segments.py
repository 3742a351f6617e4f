"""Frames keep their times whatever becomes of the files that hold them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fisher_mlip.analysis import read_run
from fisher_mlip.analysis.segments import trajectory_notes
from fisher_mlip.analysis.trajectory import count_frames, iterate_chunks
from fisher_mlip.cli.app import app
from fisher_mlip.errors import InputError

MakeRun = Callable[..., Path]


def frames_of(folder: Path) -> list[int]:
    """Return which frames of the run are read, counted from 1 by their times."""
    run = read_run(folder)
    times = [time for chunk, _ in iterate_chunks(run) for time in chunk]
    assert count_frames(run) == len(times)
    return [round(time / 0.1) for time in times]


def test_a_run_that_is_whole_has_nothing_to_note(make_run: MakeRun) -> None:
    folder = make_run(segments=3)
    assert frames_of(folder) == list(range(1, 21))
    assert trajectory_notes(read_run(folder)) == ()
    (folder / "checkpoint.json").unlink()
    assert frames_of(folder) == list(range(1, 21))
    assert trajectory_notes(read_run(folder)) == ()


@pytest.mark.parametrize(("missing", "left"), [("", range(11, 21)), (".part0002", range(1, 11))])
def test_without_a_segment_the_others_keep_their_times(
    make_run: MakeRun, tmp_path: Path, missing: str, left: range
) -> None:
    folder = make_run(segments=2, breaks={3: 15})
    (folder / f"trajectory{missing}.dcd").unlink()
    assert frames_of(folder) == list(left)
    output = tmp_path / "report"
    shown = CliRunner().invoke(app, ["analyze", str(folder), "-o", str(output)]).stdout
    note = f"trajectory{missing}.dcd holds 0 of the 10 frames"
    assert note in shown
    assert note in (output / "report.html").read_text()
    assert ("the first at 1.6 ps" in shown) is (missing == "")


def test_a_segment_that_lost_frames_does_not_move_the_next(make_run: MakeRun) -> None:
    folder = make_run(segments=2)
    first = folder / "trajectory.dcd"
    first.write_bytes(first.read_bytes()[:-50])
    assert frames_of(folder) == [*range(1, 10), *range(11, 21)]
    assert "holds 9 of the 10 frames" in trajectory_notes(read_run(folder))[0]


def test_a_file_that_is_no_segment_is_not_read(make_run: MakeRun) -> None:
    folder = make_run(segments=2)
    copy = folder / "trajectory.part0003.dcd"
    copy.write_bytes((folder / "trajectory.dcd").read_bytes())
    assert frames_of(folder) == list(range(1, 21))
    (note,) = trajectory_notes(read_run(folder))
    assert note.startswith("trajectory.part0003.dcd is no segment")


def test_segments_that_cannot_be_dated_are_refused(make_run: MakeRun) -> None:
    folder = make_run(segments=2)
    record = folder / "checkpoint.json"
    content = json.loads(record.read_text())
    content["segments"][1]["first_step"] = 500
    record.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"expected 5 frames in .*trajectory\.dcd.* found 10"):
        frames_of(folder)
    record.write_text('{"step": 2000}')
    with pytest.raises(InputError, match=r"'segments' in '.*checkpoint\.json': field required"):
        frames_of(folder)
    record.unlink()
    (folder / "trajectory.dcd").unlink()
    with pytest.raises(InputError, match=r"from its first segment on .* trajectory\.part0002"):
        frames_of(folder)
