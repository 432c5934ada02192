"""Two models on the same rows: the difference of their bits, and which differences are settled.

What a row costs varies far more between rows than between models. So the difference is taken row by
row, and its interval is narrower than those of the two means (Student 1908). Of many differences
from one model, Holm's procedure (1979) keeps the chance of even one false claim at 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dalm.report.score import Row, tightest

LEVEL = 0.05
FEWEST_ROWS = 25
"""Fewer tell nothing of the spread of a difference."""
LOPSIDED = 0.5
"""Skewness of the mean difference beyond which a few rows decide it."""


class Difference(NamedTuple):
    """How many more bits per dimension one model needs than another, on the same rows.

    Args:
        value: the mean.
        half: half of its 95 % interval.
        n: rows that both were scored on.
        p: of no difference, two-sided.
        lopsided: whether so few rows decide it that the interval does not hold.
    """

    value: float
    half: float
    n: int
    p: float
    lopsided: bool


def difference(one: Row, other: Row, split: str = "test") -> Difference | None:
    """Bits per dimension that `other` needs beyond `one`, or `None` where rows are not known.

    Args:
        one: a row that keeps what each datum scored under `each`.
        other: another one.
        split: the part of the data.

    >>> place = np.arange(40)
    >>> def row(bits): return {"each": {"bits_per_dim.test": bits, "bits_per_dim.test.rows": place}}
    >>> difference(row(place + 1.0), row(place + 1.5 + 0.25 * (place % 2))).value
    0.625
    """
    first = _bits(one, split)
    second = _bits(other, split)
    if first is None or second is None:
        return None
    _, here, there = np.intersect1d(first[0], second[0], return_indices=True)
    more = second[1][there] - first[1][here]
    if len(more) < FEWEST_ROWS or not np.isfinite(more).all():
        return None

    from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]

    mean = float(more.mean())
    deviation = float(more.std(ddof=1))
    error = deviation / math.sqrt(len(more))
    if error == 0:
        return Difference(mean, 0.0, len(more), float(mean == 0), False)
    skewness = float((((more - mean) / deviation) ** 3).mean())
    lopsided = abs(skewness) / math.sqrt(len(more)) > LOPSIDED
    freedom = len(more) - 1
    p = 2 * float(stdtr(freedom, -abs(mean) / error))
    return Difference(mean, float(stdtrit(freedom, 0.975)) * error, len(more), p, lopsided)


def _bits(row: Row, split: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Places and bits of the rows that its tightest likelihood was scored on."""
    each = row.get("each") or {}
    name = f"{tightest(row)}.{split}"
    if name not in each or f"{name}.rows" not in each:
        return None
    return each[f"{name}.rows"], each[name]


def holm(p: Sequence[float], of: int | None = None) -> list[bool]:
    """Which hypotheses are rejected, so that one true one among them is with 5 % at most.

    Holm 1979.

    Args:
        p: of each.
        of: how many there are, where these were picked among more.

    >>> holm([0.01, 0.04, 0.03]), holm([0.01, 0.02, 0.03])
    ([True, False, False], [True, True, True])
    """
    rejected = [False] * len(p)
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[place] > LEVEL / ((of or len(p)) - rank):
            break
        rejected[place] = True
    return rejected
