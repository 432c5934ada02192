"""The error of bad input, and the checks that raise it."""

from __future__ import annotations

import difflib
import math
import numbers
import re
from collections.abc import Iterable
from typing import TypeGuard


class DalmError(ValueError):
    """Bad input. The message says what was asked, what was given and what would work."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Name the nearest choice and list them all.

    >>> did_you_mean("vea", ["vae", "kde"])
    "Did you mean 'vae'? There are: kde, vae."
    """
    names = sorted(choices)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.4)
    return (f"Did you mean {close[0]!r}? " if close else "") + f"There are: {', '.join(names)}."


def is_integer(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number, NumPy's too; True and False are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_seed(seed: object) -> int:
    """The seed, or DalmError unless every library here takes it.

    >>> check_seed(7)
    7
    """
    if not (is_integer(seed) and 0 <= seed < 2**32):
        hint = (
            "seed must not be negative"
            if is_integer(seed) and seed < 0
            else f"a seed is a whole number below {2**32}"
        )
        raise DalmError(f"{hint}, got {seed!r}")
    return int(seed)


def check_count(owner: str, low: int, high: float = math.inf, **counts: object) -> None:
    """Raise DalmError unless each count is a whole number from `low` to `high`.

    Args:
        owner: whose counts they are.
        low: the smallest.
        high: the largest.
        **counts: by name.

    >>> check_count("compress", 1, samples=0)
    Traceback (most recent call last):
    dalm.errors.DalmError: compress's samples is at least 1, got 0
    """
    for name, value in counts.items():
        if not is_integer(value):
            raise DalmError(f"{owner}'s {name} is a whole number, got {value!r}")
        if not low <= value <= high:
            reach = f"at least {low}" if high == math.inf else f"from {low} to {high:g}"
            raise DalmError(f"{owner}'s {name} is {reach}, got {value}")


def out_of_memory(error: BaseException) -> str | None:
    """What an error says of memory that there was not, in words; `None` where it is about something
    else.

    >>> out_of_memory(RuntimeError("can't allocate memory: tried to allocate 309000000000 bytes"))
    'out of memory: 309 GB were asked for at once'
    >>> out_of_memory(RuntimeError("shapes differ")) is None
    True
    """
    said = str(error)
    if isinstance(error, DalmError):
        return None
    if not isinstance(error, MemoryError) and not re.search("out of memory|allocate memory", said):
        return None
    asked = re.search(r"tried to allocate (\d+) bytes", said)
    if asked is None:
        return "out of memory"
    return f"out of memory: {in_bytes(int(asked[1]))} were asked for at once"


def in_bytes(count: int) -> str:
    """A number of bytes, as a person says it.

    >>> in_bytes(999), in_bytes(1_208_058_056), in_bytes(50_400_000)
    ('999 B', '1.2 GB', '50 MB')
    """
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            digits = 3 if count >= 100 * size else 2
            return f"{count / size:.{digits}g} {unit}"
    return f"{count} B"
