"""Whether the mean of costs can be trusted with its interval, or a heavy tail forbids it.

An interval of ± 1.96 standard errors needs a finite variance, and a mean whose own skewness is
small. Two signs speak against it:

- the skewness of the mean, that of the values over sqrt(n), exceeds 0.5: a few rows decide it;
- the largest fifth looks like a power law of infinite variance (a ≤ 2; Hill 1975), and more so than
  like the square of an exponential variable, the heaviest tail for which the interval still holds.
  Both are fitted to the excesses over the fifth's rim, by maximum likelihood, and compared by their
  log likelihood ratio (Clauset et al. 2009)

      Λ = max_a Σ log(a/u (u/x)^(a+1)) - max_b Σ log(b exp(-b(√x - √u)) / 2√x)

  with x above the median and u the rim. Its critical value keeps false alarms at 5 % for squares of
  exponential and of Laplace variables, whose intervals hold.

By simulation of what a normal density costs on other data (200 repeats, n = 200, 500, 1,000 and
2,000): t with 2 degrees is marked in 76, 92, 100 and 100 %, with 3 degrees in 52, 67, 86 and 98 %,
normal data in at most 1 %, of 25 rows in 16 %. Of few rows from a heavy tail none may
come from the tail, and no rule sees it then: the interval of fewer than 25 is always doubted.
"""

from __future__ import annotations

import math

from torch import Tensor

from dalm.metrics.intervals import skewness_of_mean

FEWEST_ROWS = 25
"""Fewer rows say nothing of a tail."""
TAIL = 0.2
"""Share of the rows that are taken for the tail."""
COSTLIEST = 5
"""Rows of which it is said what they carry."""
MAIN = 0.1
"""A feature matters if its variance is so large a share of the largest."""
SKEWNESS = 0.5
"""Largest skewness of a mean whose interval holds."""


def doubt(values: Tensor) -> str | None:
    """Why the interval of the mean may not hold; `None` if nothing speaks against it.

    Args:
        values: independent costs, (B,), finite.

    >>> import torch
    >>> doubt(torch.tensor([1.0, 2.0]))
    '2 rows are too few to show a heavy tail'
    """
    n = len(values)
    if n < FEWEST_ROWS and bool((values != values[0]).any()):
        return f"{n} rows are too few to show a heavy tail"
    if not is_heavy(values):
        return None
    excess = (values - values.median()).clamp(min=0)
    carried = excess.topk(COSTLIEST).values.sum() / excess.sum()
    return f"heavy tail, {COSTLIEST} of {n} rows carry {carried:.0%} of what exceeds the median"


def doubt_of_squares(x: Tensor) -> str | None:
    """Why what rests on variances of features may not hold: their squares have a heavy tail.

    Args:
        x: centred features, (n, d).
    """
    if len(x) < 2 * FEWEST_ROWS:
        return f"{len(x)} rows are too few to show a heavy tail"
    squares = x.double().square()
    means = squares.mean(0)
    main = squares[:, means >= MAIN * means.max()]
    if any(skewness_of_mean(feature) > SKEWNESS for feature in main.T) or is_heavy(squares.sum(1)):
        return "few rows decide the variance of some feature"
    return None


def is_heavy(values: Tensor) -> bool:
    """Whether the interval of the mean does not hold.

    Args:
        values: independent costs, (B,), finite.

    >>> import torch
    >>> x = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    >>> is_heavy(x.square()), is_heavy(x.square() / (x.roll(1) * x.roll(2)).abs())
    (False, True)
    """
    if len(values) < FEWEST_ROWS:
        return False
    return skewness_of_mean(values) > SKEWNESS or _is_power_law(values.double().sort().values)


def _is_power_law(ordered: Tensor) -> bool:
    """Whether the largest fifth of sorted values fits a power law too well."""
    size = int(TAIL * len(ordered))
    excess = ordered - ordered.quantile(0.5)
    rim = excess[-size - 1]
    tail = excess[-size:]
    if rim <= 0 or tail[-1] == rim:
        return False

    steps = (tail / rim).log()
    if 1 / steps.mean() > 2:
        return False
    power = -size * (steps.mean().log() + rim.log()) - (1 / steps.mean() + 1) * steps.sum()
    roots = tail.sqrt() - rim.sqrt()
    stretched = -size * (roots.mean().log() + 1) - (2 * tail.sqrt()).log().sum()
    # Λ of squared exponential variables: its mean falls with the size, its spread with the root.
    return bool(power - stretched > 0.45 * math.sqrt(size) - 0.063 * size)
