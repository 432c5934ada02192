r"""What it means that rows repeat: chance, or an accident.

Rows of a coin toss must repeat; an image that is there twice was put there twice. Equal rows are
chance where independent columns with the same values would repeat too,

    E[pairs] = C(n, 2) Π_j P(two rows agree in column j) ≥ 1,

or where the typical row is there so often that nobody can have put it there. Columns that depend on
each other repeat more often than independent ones, so chance is never said where it is not. Each
distinct row counts once in a column's frequencies: else copies would speak for themselves.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

OFTEN = 4
"""Rows for each distinct one from which repetition is taken for chance."""
RARE = 1e-5
"""How rarely chance may be said to repeat rows too evenly."""
LOOKED_AT = 5000
"""Distinct rows that frequencies are counted on."""
FINE = 20
"""On a grid that makes values repeat, the median gap is at most so many of its steps."""


def by_chance(once: NDArray[Any], counts: NDArray[Any]) -> bool:
    """Whether rows repeat by chance, if they repeat.

    Args:
        once: the distinct rows, (M, …).
        counts: how often each is there, (M,).

    >>> by_chance(np.array([0, 1]), np.array([20, 20]))
    True
    >>> line = np.linspace(0, 1, 100) ** 2  # each twice
    >>> by_chance(line, np.full(100, 2)), by_chance(line, np.full(100, 4))
    (False, False)
    """
    n = int(counts.sum())
    if expected_pairs(once, n) >= 1:
        return True
    return n >= OFTEN * len(counts) and not put_there(counts)


def put_there(counts: NDArray[Any]) -> bool:
    """Whether counts vary far less than those of chance, which vary about as those of Poisson do:
    in files whose rows are all there five times.

    Args:
        counts: how often each distinct row is there, (M,).

    >>> put_there(np.full(60, 5)), put_there(np.arange(2, 62))
    (True, False)
    """
    from scipy.stats import chi2  # type: ignore[import-untyped]

    dispersion = ((counts - counts.mean()) ** 2).sum() / counts.mean()
    far_less = counts.var() < counts.mean() / 2  # kinds that were never drawn are not counted
    return bool(far_less and chi2.cdf(dispersion, len(counts) - 1) < RARE)


def expected_pairs(once: NDArray[Any], n: int) -> float:
    """How many pairs of equal rows independent columns would give.

    Args:
        once: the distinct rows, (M, …).
        n: how many rows there are.

    >>> square = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> round(expected_pairs(square, n=10), 6)  # of 45 pairs; each column agrees in 1/3
    5.0
    >>> expected_pairs(np.linspace(0, 1, 100) ** 2, n=200)
    0.0
    """
    pairs = n * (n - 1) / 2
    some = once[np.arange(min(len(once), LOOKED_AT)) * len(once) // min(len(once), LOOKED_AT)]
    for column in some.reshape(len(some), -1).T:
        pairs *= _agreement(column)
        if pairs < 1:
            return 0.0
    return pairs


def _agreement(column: NDArray[Any]) -> float:
    """The probability that two rows agree in a column."""
    values, counts = np.unique(column, return_counts=True)
    m = len(column)
    if len(values) == 1:
        return 1.0
    if len(values) < m:
        return float((counts * (counts - 1)).sum()) / (m * (m - 1))
    gaps = np.diff(values.astype(np.float64))
    steps = float(np.median(gaps) / gaps.min()) if gaps.min() > 0 else math.inf
    return 1 / (m * steps) if steps <= FINE else 0.0
