"""Products appear whole or not at all, whatever interrupts their making."""

import errno
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fisher_mlip
from fisher_mlip.errors import InputError
from fisher_mlip.products import (
    SUMMARY_NAME,
    locked_folder,
    read_json,
    refuse_existing,
    sha256_of_file,
    sibling,
    whole_file,
    whole_folder,
    write_json,
    write_summary,
    write_text,
)


class BrokenOffError(Exception):
    """Stands for whatever ends a writer."""


def test_whole_file_keeps_the_old_one_when_broken_off(tmp_path: Path) -> None:
    path = tmp_path / "frames.xyz"
    write_text(path, "old")
    with pytest.raises(BrokenOffError), whole_file(path) as partial:
        partial.write_text("half")
        raise BrokenOffError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_whole_file_keeps_the_suffix_and_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "frames.xyz"
    with whole_file(path) as partial:
        partial.write_text("all")
        assert partial.suffix == ".xyz"
        assert partial.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "all"


def test_full_disk_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as failure:
        write_json(path, {"a": 2})
    assert failure.value.filename == str(path)
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "frames.xyz"
    with pytest.raises(OSError, match="No space left") as failure, whole_file(path):
        Path("/dev/full").write_text("frames")
    assert failure.value.filename == str(path)
    with pytest.raises(OSError, match="File exists") as failure, whole_file(path) as partial:
        partial.touch()
        partial.open("x")
    assert failure.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as missing, whole_file(path):
        (tmp_path / "input.xyz").read_text()
    assert missing.value.filename == str(tmp_path / "input.xyz")


SLOW_WRITER = """
import sys, time
from pathlib import Path
from fisher_mlip.products import whole_folder
with whole_folder(Path(sys.argv[1])) as partial:
    (partial / "weights").write_text("half")
    print("begun", flush=True)
    time.sleep(60.0)
"""


def test_killed_writer_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    command = [sys.executable, "-c", SLOW_WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        writer.kill()
    assert not path.exists()
    refuse_existing(path)


def test_whole_folder_is_renamed_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    with whole_folder(path) as partial:
        (partial / "a").write_text("1")
        assert not (path / "a").exists()
    assert (path / "a").read_text() == "1"
    assert list(tmp_path.iterdir()) == [path]


def test_whole_folder_refuses_and_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    write_summary(path, {})
    with pytest.raises(InputError, match="exists"), whole_folder(path):
        pytest.fail("entered a folder that exists")
    with whole_folder(path, overwrite=True) as partial:
        (partial / "new").touch()
    assert [entry.name for entry in path.iterdir()] == ["new"]


def test_whole_folder_keeps_the_old_one_when_broken_off(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    write_summary(path, {})
    with pytest.raises(BrokenOffError), whole_folder(path, overwrite=True) as partial:
        (partial / "new").touch()
        raise BrokenOffError
    assert [entry.name for entry in path.iterdir()] == ["summary.json"]
    assert list(tmp_path.iterdir()) == [path]


def test_whole_folder_spares_what_came_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(InputError, match="exists"), whole_folder(path):
        path.mkdir()
        write_summary(path, {"of": "another process"})
    assert read_json(path / "summary.json") == {"of": "another process"}


def test_overwrite_spares_a_folder_that_a_process_runs_in(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    write_summary(path, {})
    with (
        locked_folder(path),
        pytest.raises(InputError, match="another process is running"),
        whole_folder(path, overwrite=True),
    ):
        pass
    assert (path / "summary.json").exists()


def test_summary_has_no_nan(tmp_path: Path) -> None:
    content = {"a": math.nan, "b": [math.inf, 1.5], "c": {"path": tmp_path}}
    path = write_summary(tmp_path, content)
    assert path == tmp_path / "summary.json"
    assert read_json(path) == {"a": None, "b": [None, 1.5], "c": {"path": str(tmp_path)}}


@pytest.mark.parametrize("text", ["[1]", "{", "\x00"])
def test_read_json_refuses(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=str(path)):
        read_json(path)
    with pytest.raises(InputError, match="found none"):
        read_json(tmp_path / "absent.json")


def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of_file(path).startswith("ba7816bf8f01cfea")  # FIPS 180-2, B.1


def test_overwrite_spares_a_folder_of_other_things(tmp_path: Path) -> None:
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter.tex").write_text("years of work")
    with (
        pytest.raises(InputError, match="did not make"),
        whole_folder(mine, overwrite=True) as partial,
    ):
        (partial / "weights").write_text("new")
    assert (mine / "chapter.tex").read_text() == "years of work"


@pytest.mark.parametrize("call", ["save_file(", "torch.jit.save(script(module), str("])
def test_no_library_writes_products_itself(call: str) -> None:
    # On a full disk safetensors raises an error of its own and torch ends the process.
    package = Path(fisher_mlip.__file__).parent
    assert not [path for path in package.rglob("*.py") if call in path.read_text(encoding="utf-8")]


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with locked_folder(tmp_path), pytest.raises(InputError, match="another process"):  # noqa: SIM117
        with locked_folder(tmp_path):
            pytest.fail("held twice")
    with locked_folder(tmp_path):
        pass


def test_an_output_that_is_an_input_or_holds_one_is_refused(tmp_path: Path) -> None:
    frames = tmp_path / "run" / "frames.xyz"
    frames.parent.mkdir()
    frames.write_text("")
    (tmp_path / "link").symlink_to(frames.parent)
    for output in (frames, frames.parent, tmp_path, tmp_path / "link"):
        with pytest.raises(InputError, match=r"(is|holds) the input .*: name another output"):
            refuse_existing(output, overwrite=True, inputs=[None, frames])
        with pytest.raises(InputError, match="exists: name another one or pass --overwrite"):
            refuse_existing(output, inputs=[None, frames])
        with (
            pytest.raises(InputError, match=r"(is|holds) the input .*: name another output"),
            whole_folder(output, overwrite=True, inputs=[frames]),
        ):
            raise AssertionError("not reached")
    refuse_existing(tmp_path / "other", overwrite=True, inputs=[frames, None])
    refuse_existing(frames.parent / "new", overwrite=True, inputs=[frames])
    (frames.parent / SUMMARY_NAME).write_text("{}")
    with pytest.raises(InputError, match="holds the input"):
        refuse_existing(frames.parent, overwrite=True, inputs=[frames])
    refuse_existing(frames.parent, overwrite=True)


def test_only_regular_files_and_our_folders_are_overwritten(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        refuse_existing(tmp_path / "pipe", overwrite=True)
    (tmp_path / "frames.xyz").write_text("precious")
    with (
        pytest.raises(InputError, match="expected a folder as output, found the file"),
        whole_folder(tmp_path / "frames.xyz", overwrite=True),
    ):
        raise AssertionError("not reached")
    assert (tmp_path / "frames.xyz").read_text() == "precious"


def test_what_a_killed_process_left_is_swept_but_not_what_another_is_writing(
    tmp_path: Path,
) -> None:
    left, alive = tmp_path / ".head-0123abcd", tmp_path / ".head-4567cdef"
    other = tmp_path / ".head-backup"
    for folder in (left, alive, other):
        folder.mkdir()
        (folder / "weights").write_text("half")
    with locked_folder(alive), whole_folder(tmp_path / "head"):
        assert not left.exists()
        assert alive.exists()
    assert other.exists()


def test_a_sibling_has_a_name_even_of_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base" / "inside").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "base" / "inside")
    assert sibling(Path("model"), "fisher") == Path("model-fisher")
    assert sibling(Path(), "fisher") == tmp_path / "base" / "inside-fisher"
    assert sibling(Path(".."), "fisher") == tmp_path / "base-fisher"


def test_a_replacement_that_is_stopped_leaves_one_of_the_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the old folder is removed the new one is there; before that, the old one comes back."""
    path = tmp_path / "out"
    path.mkdir()
    (path / SUMMARY_NAME).write_text("old")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fisher_mlip.products.shutil.rmtree", stop)
        with pytest.raises(KeyboardInterrupt), whole_folder(path, overwrite=True) as partial:
            (partial / SUMMARY_NAME).write_text("new")
    assert (path / SUMMARY_NAME).read_text() == "new"
    with pytest.raises(KeyboardInterrupt), whole_folder(path, overwrite=True):
        raise KeyboardInterrupt
    assert [found.name for found in tmp_path.iterdir()] == ["out"]
    # Killed between the two renames.
    path.replace(tmp_path / ".out.old-0123abcd")
    with pytest.raises(KeyboardInterrupt), whole_folder(path, overwrite=True):
        raise KeyboardInterrupt
    assert (path / SUMMARY_NAME).read_text() == "new"
    with whole_folder(path, overwrite=True) as partial:
        (partial / SUMMARY_NAME).write_text("newer")
    assert (path / SUMMARY_NAME).read_text() == "newer"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["out"]
