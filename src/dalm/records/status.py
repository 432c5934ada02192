"""A run in progress: who trains it, how far it is, and whether it is still alive.

The trainer holds a lock on the run for as long as it lives. The operating system gives the lock up
when the process dies, however it dies, so a run that says `running` and is not locked has crashed.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dalm.errors import DalmError, is_integer
from dalm.records.digest import read_object
from dalm.records.files import write
from dalm.records.lines import append_line
from dalm.records.locks import is_locked, locked
from dalm.records.run import RunFolder

FORMAT = 1
SILENCE = 60.0
"""Seconds without a sign of life after which a run that can't be asked counts as crashed."""
WAIT = 1.0
"""Seconds for which a trainer asks for its lock: readers hold it for a moment to test it."""


def now() -> str:
    """The time, to the millisecond, as all records write it.

    >>> now().endswith("+00:00")
    True
    """
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a run is.

    Args:
        step: steps taken.
        steps: steps in all, or None where that is not known.
        rate: steps per second.
        state: what it does, such as `"running"` or `"validating"`.
        pid: the process.
        host: the machine, by its name in the network.
        time: last sign of life, in ISO 8601.

    >>> Status(step=5, steps=10, rate=2.0).pid == os.getpid()
    True
    """

    step: int
    steps: int | None
    rate: float
    state: str = "running"
    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=platform.node)
    time: str = field(default_factory=now)

    @property
    def age(self) -> float:
        """Seconds since the last sign of life, by this machine's clock.

        >>> Status(step=5, steps=10, rate=2.0, time="2026-01-01T00:00:00+00:00").age > 0
        True
        """
        return (datetime.now(UTC) - datetime.fromisoformat(self.time)).total_seconds()


def write_status(folder: Path, status: Status) -> None:
    """Write `status.json`, as a sign of life.

    Args:
        folder: the run.
        status: how far it is.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_status(Path(folder), Status(step=5, steps=10, rate=2.0))
    ...     read_status(Path(folder)).step
    5
    """
    content = {"format": FORMAT} | asdict(status)
    write(folder / "status.json", json.dumps(content))


def read_status(folder: Path) -> Status | None:
    """What `status.json` says, or None if there is none that can be read.

    >>> read_status(Path("no run")) is None
    True
    """
    try:
        content = read_object(folder / "status.json", "the status of a run", FORMAT)
        status = Status(**{entry.name: content[entry.name] for entry in fields(Status)})
        _ = status.age
    except (DalmError, KeyError, TypeError, ValueError):
        return None

    steps = (status.step, status.steps or 0)
    return status if all(map(is_integer, steps)) else None


def append_event(folder: Path, event: str, **facts: Any) -> None:
    """Add a line to `events.jsonl`: what happened to a run, and when.

    Args:
        folder: the run.
        event: what happened, in a word.
        **facts: what else there is to know, as JSON values.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     append_event(Path(folder), "started", step=0)
    ...     RunFolder(Path(folder)).events[0]["event"]
    'started'
    """
    append_line(folder / "events.jsonl", {"time": now(), "event": event} | facts)


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep a run to this process while it is trained; at a normal end its status is removed.

    The folder need not exist yet, so its name is reserved before anything is written.

    Args:
        folder: the run.

    Raises:
        DalmError: another process trains it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, hold(Path(folder, "run")):
    ...     is_locked(Path(folder, "run"))
    True
    """
    refusal = (
        f"another process is training {folder} (its status.json says which); wait for it, or "
        "choose another folder"
    )
    path = folder.resolve()
    with _parents(path), locked(path, refusal, WAIT):
        yield
        # Only at a normal end: what is left after a crash tells how far it had come.
        (folder / "status.json").unlink(missing_ok=True)


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """The folders above a path, removed again if nothing came of them."""
    missing = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # the first that is not empty, and so all above it
            for parent in missing:
                parent.rmdir()


def run_state(folder: Path) -> str:
    """The state of a run: `running`, `crashed`, `done`, `stopped` or `failed`.

    A run crashed if `run.json` says that it is running and no process holds it. Where that can't
    be found out, as on another machine, it crashed if there was no sign of life for a minute.

    Raises:
        DalmError: its description can't be read.
    """
    recorded = str(RunFolder(folder).meta.get("state", "unknown"))
    if recorded == "done":
        return recorded
    if _is_alive(folder):
        return "running"

    # Read again: it may have ended between the first look and the test of its lock.
    recorded = str(RunFolder(folder).meta.get("state", "unknown"))
    return "crashed" if recorded == "running" else recorded


def _is_alive(folder: Path) -> bool:
    status = read_status(folder)
    elsewhere = status is not None and status.host != platform.node()
    held = None if elsewhere else is_locked(folder.resolve())
    if held is None:
        return status is not None and status.age < SILENCE
    return held
