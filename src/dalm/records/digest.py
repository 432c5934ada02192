"""JSON objects on disk: of a known format, and closed by a digest that tells edits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from dalm.errors import DalmError

Json = dict[str, Any]
"""A JSON object."""


def mapping(value: object) -> Json:
    """The value if it is a JSON object, else an empty one.

    >>> mapping({"a": 1}), mapping(None)
    ({'a': 1}, {})
    """
    return value if isinstance(value, dict) else {}


def digest(content: Json) -> str:
    """SHA-256 of a JSON object without its own digest.

    >>> digest({"a": 1}) == digest({"a": 1, "digest": "an old one"})
    True
    """
    rest = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def with_digest(content: Json) -> Json:
    """A JSON object closed by its digest.

    >>> closed = with_digest({"a": 1})
    >>> closed["digest"] == digest(closed)
    True
    """
    return content | {"digest": digest(content)}


def read_object(path: Path, what: str, newest: int) -> Json:
    """A JSON object from a file, digest or not.

    Args:
        path: the file.
        what: what it should be, for the error.
        newest: the newest `format` that is understood; an object without one is of format 1.

    Raises:
        DalmError: it can't be read, is no JSON object, or is of a newer format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DalmError(
            f"{path} is not {what}: it cannot be read as JSON ({error}). Restore it, or make it "
            "again"
        ) from None

    if not isinstance(content, dict):
        raise DalmError(
            f"{path} is not {what}, which needs an object {{…}}: it holds a JSON "
            f"{type(content).__name__}. Restore it, or make it again"
        )
    version = content.get("format", 1)
    if not isinstance(version, int) or not 1 <= version <= newest:
        raise DalmError(
            f"{path} has format {version!r}; this dalm reads formats up to {newest}. If a newer "
            "one wrote it, update dalm; else restore it, or make it again"
        )
    return content


def check_digest(path: Path, content: object, remedy: str) -> Json:
    """The content of a file, or DalmError unless it is as `with_digest` closed it.

    Args:
        path: the file, for the error.
        content: what it holds.
        remedy: what would help.

    Raises:
        DalmError: it was changed since, or never closed.
    """
    if not isinstance(content, dict) or content.get("digest") != digest(content):
        raise DalmError(
            f"{path} was edited or damaged after it was written, or has no digest, so its numbers "
            f"cannot be trusted. {remedy}"
        )
    return content


def read_signed(path: Path, remedy: str) -> Json:
    """A JSON object that `with_digest` closed.

    Args:
        path: the file.
        remedy: what would help if it is not as it was written.

    Raises:
        DalmError: it was edited or damaged.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file.json")
    ...     _ = path.write_text(json.dumps(with_digest({"a": 1})))
    ...     read_signed(path, "Restore it")["a"]
    1
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        content = None
    return check_digest(path, content, remedy)
