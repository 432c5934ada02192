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
NEAR = 2
"""Places in the file that count as near."""
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


def order_matters(x: Array, labels: Array | None = None) -> list[str]:
    """Whether a row is more like the next one in the file than like one further on, as in a walk
    through time or where a subject has several rows. Independent rows are so in half of all cases.

    Columns that only rise or fall say nothing, since a sorted file is no walk; nor do the few
    places where blocks of a sorted file meet.

    Args:
        x: rows in the order of the file, (N, …).
        labels: (N,) classes; rows are compared within them.

    >>> walk = np.random.default_rng(0).normal(size=(500, 2)).cumsum(0)
    >>> order_matters(walk)[0].split(",")[0]
    'In 91% of cases a row is more like the next one in the file than like the 10th after it'
    """
    rows = _numbers(x[:LOOKED_AT])
    monotone = _monotone(rows)
    rows = rows[:, ~monotone]
    if len(rows) < FEW or not rows.shape[1]:
        return []
    classes = np.zeros(len(rows), int) if labels is None else _codes(labels[:LOOKED_AT])
    parts = [np.flatnonzero(classes == k) for k in np.unique(classes)]
    lag = min(max(len(rows) // len(parts) // 50, 3), 40)
    nearer = np.concatenate([_nearer(rows[part], lag) for part in parts])
    usual = 0.5 + max(0.15, 2.5 / math.sqrt(max(len(nearer), 1)))
    once = np.unique(rows, axis=0, return_index=True)[1]
    parts = [np.intersect1d(part, once) for part in parts]
    near = _near_in_file([rows[part] for part in parts if len(part) > 2 * NEAR + 1])
    chance = 2 * NEAR * len(parts) / len(once)
    if not monotone.any() and len(nearer) and nearer.mean() > usual:
        how = (
            f"In {nearer.mean():.0%} of cases a row is more like the next one in the file than "
            f"like the {lag}th after it, where chance gives 50%"
        )
    elif len(once) >= FEW and near > 0.2 + 3 * chance:
        how = (
            f"{near:.0%} of rows have their nearest row within {NEAR} places in the file, where "
            f"chance gives {chance:.0%}"
        )
    else:
        return []
    return [
        f"{how}: they are no independent sample. Rows of one subject belong "
        "together (group=COLUMN, --group), rows in time are cut in time (order='file', --order "
        "file); else held-out figures are far too good."
    ]


def _nearer(rows: Numbers, lag: int) -> Numbers:
    """For each row 1 where the next is nearer than the one at a distance, a half where they tie."""
    ends = len(rows) - lag
    if ends < 1:
        return np.zeros(0)
    next_one = np.square(rows[1 : ends + 1] - rows[:ends]).sum(1)
    later = np.square(rows[lag:] - rows[:ends]).sum(1)
    return (next_one < later) + (next_one == later) / 2


def _near_in_file(parts: list[Numbers]) -> float:
    """The share of rows whose nearest row is near in the file."""
    near = [np.abs(_nearest(part) - np.arange(len(part))) <= NEAR for part in parts]
    return float(np.concatenate(near).mean()) if near else 0.0


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
    rows = _numbers(x[_spread(len(x))])
    found = []
    for column in range(rows.shape[1] if rows.shape[1] <= 50 else 0):
        values, codes, counts = np.unique(rows[:, column], return_inverse=True, return_counts=True)
        several = 20 <= len(values) <= len(rows) // 3 and np.median(counts) >= 2
        if not several or not _whole(values):
            continue
        others = np.delete(rows, column, axis=1)
        shared = float((codes[_nearest(others)] == codes).mean())
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
    apart = np.abs(codes[_nearest(others, codes)] - codes)
    random = np.abs(codes[:, None] - codes[None, ::7])
    return bool(np.median(apart) < 0.5 * np.median(random[random > 0]))


def _numbers(x: Array) -> Numbers:
    """Rows as vectors in standard units."""
    rows = x.reshape(len(x), -1).astype(np.float64)
    spread = rows.std(0)
    return (rows - rows.mean(0)) / np.where(spread > 0, spread, 1.0)


def _monotone(rows: Numbers) -> NDArray[np.bool_]:
    steps = np.diff(rows, axis=0)
    return np.all(steps >= 0, axis=0) | np.all(steps <= 0, axis=0)


def _codes(labels: Array) -> NDArray[np.intp]:
    return np.unique(labels, return_inverse=True)[1]


def _nearest(rows: Numbers, codes: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
    """The nearest other row of each; where there are codes, the nearest of another code."""
    squares = np.square(rows).sum(1)
    distances = squares[:, None] + squares - 2 * rows @ rows.T
    np.fill_diagonal(distances, math.inf)
    if codes is not None:
        distances[codes[:, None] == codes] = math.inf
    nearest: NDArray[np.intp] = distances.argmin(1)
    return nearest


def _spread(n: int) -> NDArray[np.intp]:
    """At most `LOOKED_AT` places, spread evenly."""
    return np.arange(min(n, LOOKED_AT)) * n // min(n, LOOKED_AT)


def _whole(values: Numbers) -> bool:
    """Whether values are evenly spaced, as codes are, in whatever units."""
    gaps = np.diff(values)
    return bool((np.abs(gaps / gaps.min() - (gaps / gaps.min()).round()) < 1e-6).all())
