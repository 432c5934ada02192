r"""What it means that rows repeat: chance, or an accident.

Rows of a coin toss must repeat; an image that is there twice was put there twice. Equal rows are
chance where independent columns with the same frequencies would repeat too,

    E[pairs] = C(n, 2) Π_j P(two rows agree in column j) ≥ 1,

or where the typical row is there so often that nobody can have put it there. Columns that depend on
each other repeat more often than independent ones, so by this rule chance is never underrated where
it says chance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

OFTEN = 4
"""Rows for each distinct one from which repetition is taken for chance."""


def expected_pairs(x: NDArray[Any]) -> float:
    """How many pairs of equal rows independent columns would give; 0 if fewer than one.

    Args:
        x: (N, …).

    >>> round(expected_pairs(np.array([0, 0, 0, 1, 1, 1])), 6)  # 3 + 3 of 15 pairs
    6.0
    >>> expected_pairs(np.linspace(0, 1, 100))
    0.0
    """
    n = len(x)
    pairs = n * (n - 1) / 2
    for column in x.reshape(n, -1).T:
        if pairs < 1:
            return 0.0
        counts = np.unique(column, return_counts=True)[1]
        pairs *= float((counts * (counts - 1)).sum()) / (n * (n - 1))
    return pairs if pairs >= 1 else 0.0


def by_chance(x: NDArray[Any], distinct: int) -> bool:
    """Whether rows repeat by chance, if they repeat.

    Args:
        x: (N, …).
        distinct: how many rows differ.

    >>> by_chance(np.array([0, 1] * 20), distinct=2)
    True
    >>> by_chance(np.linspace(0, 1, 100).round(4), distinct=99)
    False
    """
    return len(x) >= OFTEN * distinct or expected_pairs(x) >= 1
