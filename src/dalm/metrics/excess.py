"""Excess: how many samples are what chance does not explain, such as copies, and when that is said.

    (s - s0) / (1 - s0),   s their share among samples, s0 among rows that nobody suspects

(Abbott 1925). Where nearness has degrees each is asked for by itself, and the largest excess
counts. An alarm is raised where at some degree the excess is at least what is laid down for it, and
samples show it more often than the others by Fisher's exact test at 1 in 100,000 (Fisher 1935).
Of several kinds of such rows the one with the largest share counts, of equal ones the largest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from dalm.metrics.intervals import Interval, share, wilson_interval

RARE = 1e-5
"""How rarely an honest model may be accused at one degree."""
Hits = Sequence[Tensor]
"""Which samples, (m,), and which of each kind of others, (n,), are it."""


class Excess(NamedTuple):
    """The largest excess.

    Args:
        interval: the excess, by Wilson's interval of the share among samples.
        degree: at which it is.
        observed: the share among samples.
        usual: the largest share among others.
        n: how many samples.
        alarm: whether it is said.
    """

    interval: Interval
    degree: float
    observed: float
    usual: float
    n: int
    alarm: bool


def largest_excess(hits: Mapping[float, Hits], least: Mapping[float, float]) -> Excess:
    """The largest excess over all degrees, of those with an alarm if there are any.

    Args:
        hits: by degree.
        least: the least excess that raises an alarm, by degree.

    >>> import torch
    >>> found = largest_excess({0.0: (torch.ones(50).bool(), torch.zeros(50).bool())}, {0.0: 0.1})
    >>> found.interval.value, found.alarm
    (1.0, True)
    """
    pairs = {degree: (own, worst(others)) for degree, (own, *others) in hits.items()}
    found = {degree: explained(share(own), share(usual)) for degree, (own, usual) in pairs.items()}
    guilty = [
        degree
        for degree, pair in pairs.items()
        if found[degree] >= least[degree] and more_often(*pair) < RARE
    ]
    degree = max(guilty or hits, key=found.__getitem__)
    own, others = pairs[degree]
    usual = share(others)
    interval = Interval(*(explained(end, usual) for end in wilson_interval(own)))
    return Excess(interval, degree, share(own), usual, len(own), bool(guilty))


def worst(kinds: Sequence[Tensor]) -> Tensor:
    """The kind of rows with the largest share of true entries, of equal ones the largest.

    Args:
        kinds: booleans, (n,) each.

    >>> import torch
    >>> len(worst([torch.zeros(2).bool(), torch.zeros(9).bool()]))
    9
    """
    return max(kinds, key=lambda kind: (share(kind), len(kind)))


def explained(observed: float, usual: float) -> float:
    """What chance does not explain of a share (Abbott 1925).

    Args:
        observed: a share.
        usual: what chance gives.

    >>> explained(0.75, 0.5)
    0.5
    """
    return max(0.0, (observed - usual) / (1 - usual)) if usual < 1 else 0.0


def more_often(own: Tensor, others: Tensor) -> float:
    """The chance that so many more of the first are true if both are true equally often, by
    Fisher's exact test.

    Args:
        own: booleans, (m,).
        others: booleans, (n,).

    >>> import torch
    >>> round(more_often(torch.ones(3).bool(), torch.zeros(3).bool()), 4)  # 1 of 20
    0.05
    """
    from scipy.stats import hypergeom  # type: ignore[import-untyped]

    hits = int(own.sum())
    total = hits + int(others.sum())
    return float(hypergeom.sf(hits - 1, len(own) + len(others), total, len(own)))
