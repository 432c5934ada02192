"""What in the data would make every figure wrong, found before anything is fitted.

Each check compares with what independent rows would give, on a few thousand rows, and speaks only
of what is far beyond chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dalm.core.repetition import by_chance
from dalm.data.dataset import SPLIT_NAMES, Array
from dalm.data.dividing import Rows
from dalm.data.hashes import Hashes

LOOKED_AT = 2000
"""Rows that a check looks at."""
FEW = 100
"""Rows below which nothing can be said."""
SHARE = 0.01
"""The share of copies that is worth a warning."""

Numbers = NDArray[np.float64]


def copies_between(splits: Sequence[Rows]) -> list[str]:
    """Whether held-out rows are training rows, or training rows each other's copies, beyond what
    chance would give.

    Args:
        splits: train, val, test.
    """
    rows = np.concatenate([split.hashes for split in splits])
    _, first, counts = np.unique(rows, return_index=True, return_counts=True)
    train = splits[0]
    if len(first) == len(rows) or by_chance(train.x[first[first < len(train.x)]], counts):
        return []
    return copies_said([split.hashes for split in splits], "row")


def copies_said(splits: Sequence[Hashes], unit: str) -> list[str]:
    """How many held-out rows are training rows, and how many training rows are copies, in words;
    nothing below one percent.

    Args:
        splits: hashes of train, val and test.
        unit: what a datum is called.

    >>> train = np.arange(100, dtype=np.uint64)
    >>> copies_said([train, train[:0], train[:30]], "row")
    ['30 of 30 test rows (100%) are training rows too: what is remembered scores as if it were
    understood.']
    """
    found = []
    for name, hashes in zip(SPLIT_NAMES, splits, strict=True):
        again = len(hashes) - len(np.unique(hashes))
        if name == "train" and again > SHARE * len(hashes):
            found.append(
                f"{again:,} of {len(hashes):,} training {unit}s ({again / len(hashes):.0%}) are "
                "copies of other ones, more than chance would give."
            )
        shared = int(np.isin(hashes, splits[0]).sum())
        if name != "train" and shared > SHARE * len(hashes):
            found.append(
                f"{shared:,} of {len(hashes):,} {name} {unit}s ({shared / len(hashes):.0%}) are "
                f"training {unit}s too: what is remembered scores as if it were understood."
            )
    return found


def groups_matter(x: Array) -> list[str]:
    """Whether a column tells which rows belong together: rows with the same value are each other's
    nearest in all other columns.

    Args:
        x: a table of numbers, (N, D).

    >>> random = np.random.default_rng(0)
    >>> subject = np.repeat(np.arange(50), 10)
    >>> x = np.column_stack([random.normal(size=(50, 3))[subject] * 9, subject])
    >>> x[:, :3] += random.normal(size=(500, 3))
    >>> groups_matter(random.permutation(x))[0].split(":")[0]
    'Rows with the same value in column 3 are alike in all others'
    """
    if x.ndim != 2 or x.shape[1] < 2 or len(x) < FEW:
        return []
    rows = numbers(x[spread(len(x))])
    found = []
    for column in range(rows.shape[1] if rows.shape[1] <= 50 else 0):
        values, codes, counts = np.unique(rows[:, column], return_inverse=True, return_counts=True)
        several = 20 <= len(values) <= len(rows) // 3 and np.median(counts) >= 2
        if not several or not _whole(values):
            continue
        others = np.delete(rows, column, axis=1)
        shared = float((codes[nearest_rows(others)] == codes).mean())
        chance = float(np.square(counts / len(rows)).sum())
        if shared > 0.5 + 3 * chance and not _smooth(others, codes):
            found.append(
                f"Rows with the same value in column {column} are alike in all others: {shared:.0%}"
                f" of nearest rows share it, where chance gives {chance:.0%}. If it names a "
                f"subject, group={column} (--group {column}) keeps its rows on one side."
            )
    return found


def splits_differ(train: Array, test: Array) -> list[str]:
    """Whether test rows are of another kind than training rows, by what a forest can tell of rows
    that it did not see.

    Args:
        train: (N, …).
        test: (M, …).

    >>> rows = np.random.default_rng(0).normal(size=(600, 3))
    >>> splits_differ(rows[:400], rows[400:]), len(splits_differ(rows[:400], rows[400:] + 1))
    ([], 1)
    """
    n = min(len(train), len(test), LOOKED_AT // 4)
    if n < FEW // 2:
        return []
    from sklearn.ensemble import ExtraTreesClassifier  # type: ignore[import-untyped]

    both = [part.reshape(len(part), -1)[np.arange(n) * len(part) // n] for part in (train, test)]
    rows = np.concatenate(both)
    kind = np.arange(2 * n) >= n
    forest = ExtraTreesClassifier(100, bootstrap=True, oob_score=True, random_state=0)
    accuracy = float(forest.fit(rows, kind).oob_score_)
    if accuracy < 0.5 + max(0.05, 4 * 0.5 / math.sqrt(2 * n)):
        return []
    return [
        f"The test rows are of another kind than the training rows: a forest tells them apart with "
        f"accuracy {accuracy:.2f}, where 0.5 is chance. Held-out figures are about both: what a "
        "model learned, and how far that carries."
    ]


def _smooth(others: Numbers, codes: NDArray[np.intp]) -> bool:
    """Whether rows of other values are nearest to rows of similar values: then the values measure
    something, and name nobody.
    """
    apart = np.abs(codes[nearest_rows(others, codes)] - codes)
    random = np.abs(codes[:, None] - codes[None, ::7])
    return bool(np.median(apart) < 0.5 * np.median(random[random > 0]))


def numbers(x: Array) -> Numbers:
    """Rows as vectors in standard units, (N, D).

    Args:
        x: (N, …).

    >>> numbers(np.array([1, 3]))
    array([[-1.],
           [ 1.]])
    """
    rows = x.reshape(len(x), -1).astype(np.float64)
    spread = rows.std(0)
    return (rows - rows.mean(0)) / np.where(spread > 0, spread, 1.0)


def nearest_rows(rows: Numbers, codes: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
    """The nearest other row of each, (N,); where there are codes, the nearest of another code.

    Args:
        rows: (N, D).
        codes: (N,).

    >>> nearest_rows(np.array([[0.0], [1.0], [5.0]]))
    array([1, 0, 1])
    """
    squares = np.square(rows).sum(1)
    distances = squares[:, None] + squares - 2 * rows @ rows.T
    np.fill_diagonal(distances, math.inf)
    if codes is not None:
        distances[codes[:, None] == codes] = math.inf
    nearest: NDArray[np.intp] = distances.argmin(1)
    return nearest


def spread(n: int, most: int = LOOKED_AT) -> NDArray[np.intp]:
    """Places, spread evenly.

    Args:
        n: of how many.
        most: how many at most.

    >>> len(spread(9000))
    2000
    """
    return np.arange(min(n, most)) * n // min(n, most)


def _whole(values: Numbers) -> bool:
    """Whether values are evenly spaced, as codes are, in whatever units."""
    gaps = np.diff(values)
    return bool((np.abs(gaps / gaps.min() - (gaps / gaps.min()).round()) < 1e-6).all())
