"""Intervals of 95 % that measures share: of a mean, of a share, around any estimate."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

Z95 = 1.959963984540054
"""Half the width of a 95 % interval, in standard errors of a normal distribution."""


class Interval(NamedTuple):
    """An estimate between the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def around(value: float, error: float, quantile: float = Z95) -> Interval:
    """The value ± 1.96 standard errors.

    Args:
        value: the estimate.
        error: its standard error, at least 0.
        quantile: standard errors in half the width, more than 1.96 where they are estimated from
            little.

    >>> around(1.0, 0.0)
    Interval(value=1.0, low=1.0, high=1.0)
    """
    half = quantile * error
    return Interval(value, value - half, value + half)


def mean_interval(values: Tensor) -> Interval:
    """Mean of independent values, (B,), by Student's t (1908), ± 1.96 of its standard errors for
    many, more for few, freed of what the values' skewness does to it (Hall 1992): where they have a
    tail to the right the interval reaches farther there. With a the skewness of the mean,

        T = (mean - μ) / error,   T + a T²/3 + a² T³/27 + a/6

    is what is about as Student's t.

    One value alone says nothing of its error: its interval is infinite.

    >>> import torch
    >>> Interval(*(round(end, 3) for end in mean_interval(torch.tensor([1.0, 2.0, 3.0]))))
    Interval(value=2.0, low=-0.484, high=4.484)
    >>> Interval(*(round(end, 3) for end in mean_interval(torch.arange(40.0) ** 4 / 1e5)))
    Interval(value=4.805, low=2.993, high=7.38)
    """
    mean = values.double().mean().item()
    if len(values) < 2:
        return Interval(mean, -math.inf, math.inf)
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    error = values.double().std().item() / math.sqrt(len(values))
    t = float(stdtrit(len(values) - 1, 0.975))
    skewness = skewness_of_mean(values)
    return Interval(
        mean, mean - error * _straight(t, skewness), mean - error * _straight(-t, skewness)
    )


def _straight(t: float, skewness: float) -> float:
    """T of a value of the transformed T in `mean_interval`."""
    if abs(skewness) < 1e-9:
        return t
    return 3 / skewness * (float(np.cbrt(1 + skewness * (t - skewness / 6))) - 1)


def skewness_of_mean(values: Tensor) -> float:
    """That of the values over sqrt(n); 0 where all are equal.

    Args:
        values: (n,).
    """
    values = values.double()
    spread = values.std(correction=0)
    if spread == 0:
        return 0.0
    skewness = ((values - values.mean()) / spread).pow(3).mean()
    return float(skewness) / math.sqrt(len(values))


def median_interval(values: Tensor) -> Interval:
    """Median of independent values, (B,), between order statistics that hold the true one with 95 %
    or more, whatever the distribution: B/2 ± 1.96 sqrt(B)/2 of them lie below. Thompson 1936.

    >>> import torch
    >>> median_interval(torch.arange(101.0))
    Interval(value=50.0, low=40.0, high=60.0)
    """
    ordered = values.double().sort().values
    n = len(ordered)
    below = max(0, math.floor(n / 2 - Z95 * math.sqrt(n) / 2))
    middle = ordered.quantile(0.5).item()
    return Interval(middle, ordered[below].item(), ordered[n - 1 - below].item())


def share(hits: Tensor) -> float:
    """Share of true entries of a boolean (B,).

    >>> import torch
    >>> share(torch.tensor([True, False]))
    0.5
    """
    return hits.double().mean().item()


def wilson_interval(hits: Tensor) -> Interval:
    """Share of true entries of a boolean (B,) with Wilson's score interval.

    >>> import torch
    >>> [round(v, 4) for v in wilson_interval(torch.arange(10) < 0)]
    [0.0, 0.0, 0.2775]
    """
    return share_interval(share(hits), len(hits))


def share_interval(p: float, n: float, quantile: float = Z95) -> Interval:
    """A share with Wilson's score interval. With z = 1.96, its ends are

        (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n).

    Wilson 1927.

    Args:
        p: the share.
        n: number of independent entries behind it; that of independent entries with the same
            error where they are not (Kish 1965).
        quantile: z.

    >>> [round(v, 4) for v in share_interval(0.5, 10)]
    [0.5, 0.2366, 0.7634]
    """
    shrink = 1 + quantile**2 / n
    middle = p + quantile**2 / (2 * n)
    half = quantile * math.sqrt(p * (1 - p) / n + quantile**2 / (4 * n**2))

    low = (middle - half) / shrink
    high = (middle + half) / shrink
    # Rounding must not push an end past the share, or past 0 or 1.
    return Interval(p, max(0.0, min(p, low)), min(1.0, max(p, high)))


def effective_size(p: float, error: float, n: int) -> float:
    """How many independent entries give a share this standard error, at most n.

    Args:
        p: the share.
        error: its standard error.
        n: number of entries behind it.

    >>> effective_size(0.5, 0.125, 100), effective_size(1.0, 0.0, 100)
    (16.0, 100)
    """
    if error == 0 or p in (0.0, 1.0):
        return n
    return min(n, p * (1 - p) / error**2)
