"""Atomic writes: whole or not at all, by one writer at a time, whatever dies in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dalm.errors import DalmError
from dalm.records import atomic_write, files, require_absent, write
from dalm.records.locks import beside, is_locked

WRITER = """
import sys
from pathlib import Path
from dalm.records import atomic_write

with atomic_write(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def writer(tmp_path):
    """Another process that has written half of a file."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"written\n"
        yield process
        process.kill()


def test_a_file_appears_when_it_is_whole(tmp_path):
    with atomic_write(tmp_path / "file") as file:
        file.write(b"content")
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_bytes() == b"content"
    assert names(tmp_path) == ["file"]


def test_the_writer_can_read_what_it_wrote(tmp_path):
    with atomic_write(tmp_path / "file") as file:
        file.write(b"content")
        file.seek(0)
        assert file.read() == b"content"


def test_text_is_written_as_utf_8_on_every_system(tmp_path):
    write(tmp_path / "file", "닮\n")
    assert (tmp_path / "file").read_bytes() == "닮\n".encode()


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path, writer):
    (tmp_path / "file").write_bytes(b"old")
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert (tmp_path / "file").read_bytes() == b"old"


def test_what_a_killed_writer_left_is_taken_over(tmp_path, writer):
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert names(tmp_path) == [".file.lock", ".file.partial"]
    write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path, writer):
    with pytest.raises(DalmError, match=r"another process is writing .*file; wait for it"):
        write(tmp_path / "file", b"other")
    writer.communicate(timeout=30)
    assert writer.returncode == 0
    assert (tmp_path / "file").read_bytes() == b"half"
    assert names(tmp_path) == ["file"]


def test_many_writers_at_once_leave_one_whole_file(tmp_path):
    """Each content is one letter, so a mixture would show; at least one writer succeeds."""
    contents = [letter.encode() * 100_000 for letter in "abcdefgh"]
    written = []

    def compete(content: bytes) -> None:
        for _ in range(20):
            try:
                write(tmp_path / "file", content)
            except DalmError:
                continue
            written.append(content)

    threads = [threading.Thread(target=compete, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in contents
    assert written
    assert names(tmp_path) == ["file"]


def test_a_disk_that_fills_halfway_leaves_the_old_file(tmp_path):
    def fill() -> None:
        with atomic_write(tmp_path / "file") as file:
            file.write(b"ne")
            raise OSError("no space left on device")

    write(tmp_path / "file", "old")
    with pytest.raises(OSError, match="no space"):
        fill()
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("step", ["open", "replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    write(path, "old")

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="no space"):
        write(path, b"new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_a_missing_folder_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "missing" / "file", "text")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["a" * 250, "닮" * 80])
def test_names_as_long_as_a_file_system_takes(tmp_path, name):
    write(tmp_path / name, "text")
    assert (tmp_path / name).read_text() == "text"
    assert names(tmp_path) == [name]


def test_long_names_that_begin_alike_are_told_apart(tmp_path):
    long = "a" * 245
    with atomic_write(tmp_path / f"{long}1") as one, atomic_write(tmp_path / f"{long}2") as two:
        one.write(b"1")
        two.write(b"2")
    assert (tmp_path / f"{long}1").read_bytes() == b"1"
    assert (tmp_path / f"{long}2").read_bytes() == b"2"


def test_a_reader_in_the_way_of_a_rename_is_waited_for(tmp_path, monkeypatch):
    """On Windows a rename fails while somebody reads the old file."""
    replace = os.replace
    tries = []

    def refuse_twice(source: Path, target: Path) -> None:
        tries.append(target)
        if len(tries) < 3:
            raise PermissionError(13, "another process has it open")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse_twice)
    monkeypatch.setattr(files, "RENAMES", 5)
    monkeypatch.setattr(files, "RENAME_PAUSE", 0.0)
    write(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"
    assert len(tries) == 3


def test_a_file_is_closed_when_it_is_renamed(tmp_path, monkeypatch):
    """As Windows asks; the lock is still held, so nobody can take the partial file over."""
    replace = os.replace
    seen = []

    def look(source: Path, target: Path) -> None:
        seen.append((file.closed, is_locked(target)))
        replace(source, target)

    monkeypatch.setattr(os, "replace", look)
    with atomic_write(tmp_path / "file") as file:
        file.write(b"content")
    assert seen == [(True, True)]


def test_a_file_system_without_locks_is_written_to(tmp_path, monkeypatch):
    import errno

    import filelock

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    write(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"
    assert is_locked(tmp_path / "file") is False


def test_a_helper_is_hidden_beside_its_file():
    assert beside(Path("a/b"), "lock") == Path("a/.b.lock")


def test_a_folder_that_is_there_or_cannot_be_made_is_refused(tmp_path):
    require_absent(tmp_path / "new" / "deep")
    require_absent(tmp_path)  # it is empty
    (tmp_path / "mine").touch()
    with pytest.raises(DalmError, match=r"exists already; nothing was changed.*--resume"):
        require_absent(tmp_path)
    (tmp_path / "file").write_text("text")
    with pytest.raises(DalmError, match="cannot be made"):
        require_absent(tmp_path / "file" / "run")
