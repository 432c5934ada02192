"""The error of bad input, and the checks that raise it."""

from __future__ import annotations

import difflib
import math
import numbers
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


def whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number, NumPy's too; True and False are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_seed(seed: object) -> int:
    """The seed, or DalmError unless every library here takes it.

    >>> check_seed(7)
    7
    """
    if not (whole(seed) and 0 <= seed < 2**32):
        hint = "seed must not be negative" if whole(seed) and seed < 0 else f"a seed is a whole number below {2**32}"
        raise DalmError(f"{hint}, got {seed!r}")
    return int(seed)


def within(family: str, low: float, high: float = math.inf, **options: float) -> None:
    """Raise DalmError unless each of a family's options lies from `low` to `high`; where both are whole, or `high` is none, it is a count.

    >>> within("vae", 1, latent=0)
    Traceback (most recent call last):
    dalm.core.checks.DalmError: vae's latent is at least 1, got 0
    """
    for name, value in options.items():
        count = high == math.inf or (whole(low) and whole(high))
        if not (whole(value) if count else isinstance(value, int | float)):
            raise DalmError(f"{family}'s {name} is a {'whole ' if count else ''}number, got {value!r}")
        if not low <= value <= high:
            reach = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
            raise DalmError(f"{family}'s {name} is {reach}, got {value}")


def among(family: str, *choices: str, **options: object) -> None:
    """Raise DalmError unless each of a family's options is one of the choices.

    >>> among("vae", "mlp", "conv", net="cnn")
    Traceback (most recent call last):
    dalm.core.checks.DalmError: vae's net is 'mlp' or 'conv', got 'cnn'
    """
    for name, value in options.items():
        if value not in choices:
            raise DalmError(f"{family}'s {name} is {' or '.join(map(repr, choices))}, got {value!r}")
