"""Files that appear whole or not at all.

A file is written beside its place and then renamed, so a kill at any moment leaves the old file or
the new one, whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dalm.errors import DalmError
from dalm.records.locks import beside, locked

RENAMES = 20 if os.name == "nt" else 1
"""How often a rename is tried: Windows refuses it while a reader has the old file open."""
RENAME_PAUSE = 0.05  # seconds


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is whole, and not at all otherwise.

    What a killed writer left half-written is overwritten.

    Args:
        path: its name; a file already there is replaced.

    Raises:
        DalmError: another process is writing it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder, "file")) as file:
    ...         _ = file.write(b"whole")
    ...         before = Path(folder, "file").exists()
    ...     before, Path(folder, "file").read_bytes()
    (False, b'whole')
    """
    refusal = f"another process is writing {path}; wait for it, or choose another name"
    partial = beside(path, "partial")
    with locked(path, refusal):
        try:
            with partial.open("w+b") as file:
                yield file
            # After it was closed: Windows renames no open file. The lock is still held.
            _rename(partial, path)
        except BaseException as error:
            partial.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno and error.filename is None:
                error.filename = str(path)  # "No space left" alone does not say for what
            raise


def _rename(partial: Path, path: Path) -> None:
    for _ in range(RENAMES - 1):
        try:
            os.replace(partial, path)
        except PermissionError:
            time.sleep(RENAME_PAUSE)
        else:
            return
    os.replace(partial, path)


def write(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all.

    Args:
        path: its name; a file already there is replaced.
        content: bytes, or text, which becomes UTF-8.

    Raises:
        DalmError: another process is writing it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder, "file"), "text")
    ...     Path(folder, "file").read_text()
    'text'
    """
    with atomic_write(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def is_empty(folder: Path) -> bool:
    """Whether it is a folder without anything in it.

    >>> is_empty(Path("."))
    False
    """
    return folder.is_dir() and not any(folder.iterdir())


def require_absent(folder: Path) -> None:
    """Raise DalmError unless a folder of this name can be made; one that is empty counts as absent.

    >>> require_absent(Path("."))
    Traceback (most recent call last):
    dalm.errors.DalmError: . exists already; nothing was changed. Choose another folder, go on with
    what is in it (resume=True, --resume), or replace it (overwrite=True, --overwrite)
    """
    if folder.exists() and not is_empty(folder):
        raise DalmError(
            f"{folder} exists already; nothing was changed. Choose another folder, go on with what "
            "is in it (resume=True, --resume), or replace it (overwrite=True, --overwrite)"
        )

    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise DalmError(
            f"{folder} cannot be made: {above} is not a folder that can be written to. Choose "
            "another"
        )
