"""Checks of options."""

from __future__ import annotations

import math

from dalm.errors import DalmError, is_integer


def within(family: str, low: float, high: float = math.inf, **options: float) -> None:
    """Raise DalmError unless each of a family's options lies from `low` to `high`; where both are
    whole, or `high` is none, it is a count.

    >>> within("vae", 1, latent=0)
    Traceback (most recent call last):
    dalm.errors.DalmError: vae's latent is at least 1, got 0
    """
    for name, value in options.items():
        count = high == math.inf or (is_integer(low) and is_integer(high))
        if not (is_integer(value) if count else isinstance(value, int | float)):
            raise DalmError(
                f"{family}'s {name} is a {'whole ' if count else ''}number, got {value!r}"
            )
        if not low <= value <= high:
            reach = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
            raise DalmError(f"{family}'s {name} is {reach}, got {value}")


def among(family: str, *choices: str, **options: object) -> None:
    """Raise DalmError unless each of a family's options is one of the choices.

    >>> among("vae", "mlp", "conv", net="cnn")
    Traceback (most recent call last):
    dalm.errors.DalmError: vae's net is 'mlp' or 'conv', got 'cnn'
    """
    for name, value in options.items():
        if value not in choices:
            raise DalmError(
                f"{family}'s {name} is {' or '.join(map(repr, choices))}, got {value!r}"
            )
