"""Reading files that nobody vouches for: what they ask for is bounded by this machine's memory, and
whatever a decoder raises becomes an error in words.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dalm.errors import DalmError

REASONS = {
    "Python objects": "it holds pickled objects, which are refused; save numbers",
    "mmap length": "it is cut short",
}
"""What a message of a decoder's means, by a part of it."""


def memory_bytes() -> float:
    """Bytes of memory of this machine; infinity where the system does not say, as on Windows."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf
    return size if size > 0 else math.inf


def check_memory(statement: str, size: int) -> None:
    """Raise DalmError if a file needs more memory than there is.

    Args:
        statement: who asks for it, such as "a.npz unpacks to".
        size: bytes that are needed.

    >>> check_memory("a.npz unpacks to", 10**18)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    dalm.errors.DalmError: a.npz unpacks to 1,000,000,000,000,000,000 bytes; this machine has ...
    """
    memory = memory_bytes()
    if size > memory:
        raise DalmError(f"{statement} {size:,} bytes; this machine has {memory:,} bytes of memory")


def few(names: Sequence[str], most: int = 5) -> str:
    """Names as a list in words; of many the first few and their number.

    Args:
        names: all of them.
        most: how many are listed.

    >>> few(["a", "b"]), few(list("abcdef"), most=2)
    ('a, b', 'a, b, … (6 in all)')
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])}, … ({len(names):,} in all)"


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn whatever is raised within into a DalmError that names the file.

    >>> with decoding(Path("a.npz")):
    ...     raise KeyError("mmap length")
    Traceback (most recent call last):
    dalm.errors.DalmError: a.npz cannot be read: it is cut short
    """
    try:
        yield
    except DalmError:
        raise
    except Exception as error:  # a hostile file can make a decoder raise anything
        raise DalmError(f"{path} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    message = str(error)
    for sign, reason in REASONS.items():
        if sign in message:
            return reason
    return message or type(error).__name__
