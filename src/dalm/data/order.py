"""Whether rows depend on their place in the file, which no sample of independent rows does."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dalm.data.checks import FEW, LOOKED_AT, Numbers, nearest_rows, numbers, spread
from dalm.data.dataset import Array

NEAR = 2
"""Places in the file that count as near."""
TURNS = 3
"""Fewest rows between two of one subject where subjects take turns."""
Places = list[NDArray[np.intp]]
"""Of each class, places in the file, or rows among its own."""
DRIFTING_ROWS = 20_000
"""Rows that are looked at for a drift."""
MOST_COLUMNS = 300
"""Of data that are looked at for a drift."""
STEADY = 0.1
"""Least rank correlation with the place, in each third of the file, of a column that drifts."""


def order_matters(x: Array, labels: Array | None = None) -> list[str]:
    """Whether rows depend on their place: are like their neighbours, as in a walk through time or
    where a subject has several rows; come in turns; or drift.

    Columns that only rise or fall say nothing, since a sorted file is no walk; nor do the few
    places where blocks of a sorted file meet.

    Args:
        x: rows in the order of the file, (N, …).
        labels: (N,) classes; rows are compared within them.

    >>> walk = np.random.default_rng(0).normal(size=(500, 2)).cumsum(0)
    >>> order_matters(walk)[0].split(",")[0]
    'In 91% of cases a row is more like the next one in the file than like the 10th after it'
    """
    if len(x) < FEW:
        return []
    how = _neighbours(x, labels) or _drift(x, labels)
    if not how:
        return []
    return [
        f"{how}: the rows are no independent sample. Those of one subject belong "
        "together (group=COLUMN, --group), those in time are cut in time (order='file', --order "
        "file); else held-out figures are far too good."
    ]


def _neighbours(x: Array, labels: Array | None) -> str:
    """How rows are like those near by in the file, in words; empty where they are not."""
    rows = _varying(numbers(x[:LOOKED_AT]))
    monotone = _monotone(rows)
    rows = rows[:, ~monotone]
    if not rows.shape[1]:
        return ""
    codes = _codes(labels, len(x))[:LOOKED_AT]
    parts = [np.flatnonzero(codes == k) for k in np.unique(codes)]
    once = np.unique(rows, axis=0, return_index=True)[1]
    own = [np.intersect1d(part, once) for part in parts]
    own = [part for part in own if len(part) > 2 * NEAR + 1]
    if not monotone.any() and (how := _like_the_next(rows, parts)):
        return how
    if sum(map(len, own)) < FEW:
        return ""
    nearest = [nearest_rows(rows[part]) for part in own]
    return _near_in_file(nearest) or _in_turns(own, nearest)


def _like_the_next(rows: Numbers, parts: list[NDArray[np.intp]]) -> str:
    """Whether a row is more like the next one than like one further on, as independent rows are in
    half of all cases.
    """
    lag = min(max(len(rows) // len(parts) // 50, 3), 40)
    nearer = np.concatenate([_nearer(rows[part], lag) for part in parts])
    usual = 0.5 + max(0.15, 2.5 / math.sqrt(max(len(nearer), 1)))
    if not len(nearer) or nearer.mean() <= usual:
        return ""
    return (
        f"In {nearer.mean():.0%} of cases a row is more like the next one in the file than "
        f"like the {lag}th after it, where chance gives 50%"
    )


def _nearer(rows: Numbers, lag: int) -> Numbers:
    """For each row 1 where the next is nearer than the one at a distance, a half where they tie."""
    ends = len(rows) - lag
    if ends < 1:
        return np.zeros(0)
    next_one = np.square(rows[1 : ends + 1] - rows[:ends]).sum(1)
    later = np.square(rows[lag:] - rows[:ends]).sum(1)
    return (next_one < later) + (next_one == later) / 2


def _near_in_file(nearest: Places) -> str:
    """Whether the nearest row is near in the file."""
    near = np.concatenate([np.abs(row - np.arange(len(row))) <= NEAR for row in nearest])
    share = near.mean()
    chance = 2 * NEAR * len(nearest) / len(near)
    if share <= 0.2 + 3 * chance:
        return ""
    return (
        f"{share:.0%} of rows have their nearest row within {NEAR} places in the file, where "
        f"chance gives {chance:.0%}"
    )


def _in_turns(parts: Places, nearest: Places) -> str:
    """Whether the nearest row is a multiple of some number of places away, as where subjects take
    turns or seasons return, and more often than rows of its class are.
    """
    pairs = zip(parts, nearest, strict=True)
    away = np.concatenate([np.abs(part[row] - part) for part, row in pairs])
    total = len(away)
    last = max(int(part[-1]) for part in parts)
    turns = np.arange(TURNS, max(last // TURNS, TURNS + 1))
    shares = np.array([(away % turn == 0).mean() for turn in turns])
    chances = np.array([sum(_at_turns(part, int(t)) for part in parts) / total for t in turns])
    beyond = shares - chances
    if beyond.max() <= 0.25:
        return ""
    # A divisor of the turn has hardly more.
    best = np.flatnonzero(beyond > beyond.max() - 0.05)[-1]
    return (
        f"{shares[best]:.0%} of rows have their nearest row a multiple of {turns[best]} places "
        f"away in the file, where chance gives {chances[best]:.0%}"
    )


def _at_turns(places: NDArray[np.intp], turn: int) -> float:
    """Of pairs of places, how many partners that are a multiple of a turn away one has, as a share
    of all, summed over the places.
    """
    return float(np.square(np.bincount(places % turn)).sum() / len(places))


def _drift(x: Array, labels: Array | None) -> str:
    """Whether a column rises, or falls, through every third of the file."""
    places = spread(len(x), DRIFTING_ROWS)
    if x[0].size > MOST_COLUMNS or len(places) < 3 * FEW:
        return ""
    rows = numbers(x[places])
    if _monotone(_varying(rows)).any():
        return ""
    codes = _codes(labels, len(x))[places]
    for code in np.unique(codes):  # a file that is sorted by classes does not drift
        rows[codes == code] -= rows[codes == code].mean(0)
    thirds = np.array_split(np.arange(len(rows)), 3)
    least = max(STEADY, 4 / math.sqrt(len(thirds[0])))
    found = np.stack([_with_place(rows[third]) for third in thirds])
    drifting = np.flatnonzero((found.min(0) > least) | (found.max(0) < -least))
    if not len(drifting):
        return ""
    whole = _with_place(rows)
    column = drifting[np.abs(whole[drifting]).argmax()]
    return (
        f"Column {column} {'rises' if whole[column] > 0 else 'falls'} steadily through the file "
        f"(rank correlation with the place {whole[column]:.2f})"
    )


def _with_place(rows: Numbers) -> Numbers:
    """Rank correlation of each column with the place, (D,); 0 where all values are equal."""
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    ranks = numbers(rankdata(rows, axis=0))
    return numbers(np.arange(len(rows)))[:, 0] @ ranks / len(rows)


def _varying(rows: Numbers) -> Numbers:
    """The columns that are not constant."""
    return rows[:, np.ptp(rows, axis=0) > 0]


def _monotone(rows: Numbers) -> NDArray[np.bool_]:
    steps = np.diff(rows, axis=0)
    return np.all(steps >= 0, axis=0) | np.all(steps <= 0, axis=0)


def _codes(labels: Array | None, n: int) -> NDArray[np.intp]:
    return np.zeros(n, np.intp) if labels is None else np.unique(labels, return_inverse=True)[1]
