"""Logs: files of one JSON object a line, which grow while a run goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO

from dalm.records.digest import Json, mapping


def read_lines(path: Path) -> list[Json]:
    r"""The JSON objects of a log, or none if there is no such file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = Path(folder, "log.jsonl")
    ...     _ = log.write_text('{"step": 1}\n{"st')
    ...     append_line(log, {"step": 2})
    ...     read_lines(log)
    [{'step': 1}, {'step': 2}]
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line for line in map(_parse, text.splitlines()) if line]


def _parse(line: str) -> Json:
    # A killed run may leave half a line behind; the rest of the log is still good.
    try:
        return mapping(json.loads(line))
    except (ValueError, RecursionError):
        return {}


def append_line(path: Path, content: Json) -> None:
    """Add a JSON object to a log, on a line of its own.

    Args:
        path: the log, which is made if there is none.
        content: the object.
    """
    line = json.dumps(content).encode() + b"\n"
    with path.open("ab+") as file:
        file.write(b"\n" * _is_cut(file) + line)


def _is_cut(file: BinaryIO) -> bool:
    """Whether a kill left half a line at the end."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
