"""Locks between processes, which the operating system gives up when their process dies.

A lock is a hidden file beside what it guards, held open by its owner. It is no part of the thing
itself: on Windows a file that is open can't be renamed, nor can a folder that holds one, so a lock
in the partial file or in the run folder would be in the way of giving them their names.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dalm.errors import DalmError

if TYPE_CHECKING:
    from filelock import BaseFileLock

LONGEST_NAME = 240  # bytes; file systems take 255, and a dot and an ending are added
PROBE_SECONDS = 0.15
"""How long a lock is asked for before it counts as held: another process may be asking too, and
holds it for a moment while it does.
"""
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems without locks answer, such as some of those on a network."""


def beside(path: Path, ending: str) -> Path:
    """The hidden name next to a path under which a helper of it is kept.

    Args:
        path: what it belongs to.
        ending: what it is.

    >>> beside(Path("runs/vae"), "lock").as_posix()
    'runs/.vae.lock'
    """
    name = path.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return path.with_name(f".{name}.{ending}")


@contextmanager
def locked(path: Path, refusal: str, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock of a path; on a file system without locks, go on without one.

    Args:
        path: what is guarded; it need not exist, its folder must.
        refusal: what to say if another process holds the lock.
        wait: seconds to wait for it.

    Raises:
        DalmError: another process holds it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with locked(Path(folder, "run"), "taken"):
    ...         is_locked(Path(folder, "run"))
    True
    """
    lock = _take(path, refusal, wait)
    try:
        yield
    finally:
        if lock is not None:
            _give_back(lock)


def is_locked(path: Path) -> bool | None:
    """Whether a process holds the lock of a path; None where that can't be found out.

    >>> is_locked(Path("nothing of this name"))
    False
    """
    if not beside(path, "lock").exists():
        return False
    try:
        lock = _take(path, "it is held", PROBE_SECONDS)
    except DalmError:
        return True
    except OSError:  # for example a folder of somebody else
        return None
    if lock is None:
        return None

    _give_back(lock)
    return False


def _take(path: Path, refusal: str, wait: float) -> BaseFileLock | None:
    # Here, since reading what others wrote needs no locks, and their import takes 40 ms.
    from filelock import FileLock, Timeout

    path.parent.stat()  # or FileNotFoundError: filelock would make the folder
    lock = FileLock(beside(path, "lock"), timeout=wait, poll_interval=0.02)
    try:
        lock.acquire()
    except Timeout:
        raise DalmError(refusal) from None
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    return lock


def _give_back(lock: BaseFileLock) -> None:
    from filelock import UnixFileLock

    # Windows removes the file of a lock that is given up, Unix leaves it. It is removed while it
    # is held; who waits for it then holds a lock of no name, which filelock notices and retries.
    if isinstance(lock, UnixFileLock):
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
