"""Real numbers that are recorded with a step, such as prices in cents or pixels divided by 255.

Such values have masses; a density can grow on them without bound, so it says nothing there.
"""

from __future__ import annotations

import numpy as np

from dalm.core.repetition import by_chance, put_there
from dalm.data.dataset import Array
from dalm.data.levels import LATTICES, on_lattice

LOOKED_AT = 2_000_000
"""Numbers that are looked at."""
FEW = 20
"""Rows below which nothing can be said."""


def recorded_columns(x: Array) -> list[int]:
    """The entries of real vectors whose values mostly repeat, so that they are recorded with a
    step and have masses, not densities.

    Args:
        x: (N, D).

    >>> recorded_columns(np.column_stack([np.arange(100) % 7 / 7, np.linspace(0, 1, 100)]))
    [0]
    """
    if x.dtype.kind != "f" or x.ndim > 2 or len(x) < FEW:
        return []
    rows = _some(x).reshape(-1, x[0].size)
    return [column for column in range(rows.shape[1]) if _mostly_repeat(rows[:, column])]


def recorded_images(x: Array) -> bool:
    """Whether images of real numbers hold levels: of their values, but for the most frequent one,
    most repeat.

    Args:
        x: (N, H, W) or (N, C, H, W).

    >>> pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8))
    >>> recorded_images(pixels / 255), recorded_images(pixels + np.random.random((40, 8, 8)))
    (True, False)
    """
    if x.dtype.kind != "f" or x.ndim < 3 or len(x) < FEW:
        return False
    values = _some(x).ravel()
    unique, counts = np.unique(values, return_counts=True)
    return bool(len(unique) > 1 and _mostly_repeat(values[values != unique[counts.argmax()]]))


def recorded_warning(x: Array) -> list[str]:
    """Which values are recorded with a step and what follows from that, in words; nothing where
    none are.

    Args:
        x: the data, (N, …).

    >>> recorded_warning(np.arange(100.0) ** 1.5)
    []
    """
    if recorded_images(x):
        known = [levels for levels in LATTICES if on_lattice(_some(x), levels)]
        remedy = f"; levels={known[0]} (--levels {known[0]}) makes them discrete" if known else ""
        what = f"The pixels are real numbers whose values mostly repeat{remedy}. "
    elif columns := recorded_columns(x):
        names = ", ".join(map(str, columns[:5])) + ", …" * (len(columns) > 5)
        what = (
            f"{len(columns)} of {x[0].size} columns ({names}) hold values that mostly repeat: "
            "numbers recorded with a step. "
        )
    else:
        return []
    return [
        f"{what}A density can grow without bound on such values, so densities of these data are "
        "shown, and not ranked."
    ]


def _some(x: Array) -> Array:
    """Rows, evenly spread, of at most `LOOKED_AT` numbers, without copies."""
    n = max(FEW, min(len(x), LOOKED_AT // x[0].size))
    some = x[np.arange(n) * len(x) // n]
    once, counts = np.unique(some, axis=0, return_counts=True)
    # Rows that are all there equally often were put there, and say nothing of a step.
    repeat = x[0].size > 1 and len(once) < n and not by_chance(once, counts)
    return once if repeat and put_there(counts) else some


def _mostly_repeat(values: Array) -> bool:
    counts = np.unique(values, return_counts=True)[1]
    return bool(len(counts) > 1 and counts[counts > 1].sum() > len(values) / 2)
