"""Intervals of 95 % that measures share: of a mean, of a share, around any estimate."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

Z95 = 1.959963984540054
"""Half the width of a 95 % interval, in standard errors of a normal distribution."""


class Interval(NamedTuple):
    """An estimate between the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def around(value: float, error: float) -> Interval:
    """The value ± 1.96 standard errors.

    Args:
        value: the estimate.
        error: its standard error, at least 0.

    >>> around(1.0, 0.0)
    Interval(value=1.0, low=1.0, high=1.0)
    """
    half = Z95 * error
    return Interval(value, value - half, value + half)


def mean_interval(values: Tensor) -> Interval:
    """Mean of independent values, (B,), ± 1.96 of its standard errors.

    One value alone says nothing of its error: its interval is infinite.

    >>> import torch
    >>> mean_interval(torch.tensor([1.0, 2.0, 3.0])).value
    2.0
    """
    mean = values.double().mean().item()
    if len(values) < 2:
        return Interval(mean, -math.inf, math.inf)
    half = Z95 * values.double().std().item() / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def share(hits: Tensor) -> float:
    """Share of true entries of a boolean (B,).

    >>> import torch
    >>> share(torch.tensor([True, False]))
    0.5
    """
    return hits.double().mean().item()


def wilson_interval(hits: Tensor) -> Interval:
    """Share of true entries of a boolean (B,) with Wilson's score interval.

    With p the share and z = 1.96, its ends are

        (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n).

    Wilson 1927.

    >>> import torch
    >>> [round(v, 4) for v in wilson_interval(torch.arange(10) < 0)]
    [0.0, 0.0, 0.2775]
    """
    n = len(hits)
    p = share(hits)
    shrink = 1 + Z95**2 / n
    middle = p + Z95**2 / (2 * n)
    half = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))

    low = (middle - half) / shrink
    high = (middle + half) / shrink
    # Rounding must not push an end past the share, or past 0 or 1.
    return Interval(p, max(0.0, min(p, low)), min(1.0, max(p, high)))
