"""Standard errors of what is computed from two sets, both redrawn: from random halves of them.

Cut both sets at random into halves, and compute the statistic from either pair of halves: f₁, f₂.
They are independent draws at half the size, so where a variance falls as 1/n

    E (f₁ - f₂)² / 4 = Var f,

averaged over cuts (half-sampling; McCarthy 1969, Politis & Romano 1994). A bootstrap redraws rows
twice, which no distance between neighbours survives; halves do not.

A squared distance D between equal distributions is degenerate: its variance V₁(D)/n vanishes with
D, V₂/n² is left. The cuts of one pair of sets move (f₁ + f₂)/2 by V₂/n² alone, and (f₁ - f₂)²/4 has
the expectation V₁/n + 2 V₂/n². V₁ grows as D does, so an interval with the variance at the estimate
would be short where the estimate is by chance small. Instead the interval holds all t ≥ 0 for which
the estimate is likely, as Wilson's does for shares:

    |estimate - t| ≤ 2.06 sqrt(V₂/n² + c t).

c is E (f₁ - f₂)²/4 over the distance before its bias was taken off, both of which vary together;
but at least (E (f₁ - f₂)²/4 - 2 V₂/n²) over the estimate, where that is surely above 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from dalm.metrics.intervals import Interval

CUTS = 25
T95 = 2.0595385527532946
"""Half the width of a 95 % interval in standard errors that 25 squares estimate (Student 1908)."""


class Pair(NamedTuple):
    """Rows of the first set and of the second, as indices."""

    fake: Tensor
    real: Tensor


def cuts(m: int, n: int, *, most: int | None = None, seed: int = 0) -> Iterator[tuple[Pair, Pair]]:
    """Random halves of two sets, 25 times: the first pair of halves and the second.

    Args:
        m: rows of the first set.
        n: rows of the second.
        most: most rows of a half, where more would cost too much.
        seed: of the cuts.

    >>> first, second = next(cuts(4, 6))
    >>> sorted([*first.real.tolist(), *second.real.tolist()])
    [0, 1, 2, 3, 4, 5]
    """
    generator = torch.Generator().manual_seed(seed)
    for _ in range(CUTS):
        fake = _two_halves(m, most, generator)
        real = _two_halves(n, most, generator)
        yield Pair(fake[0], real[0]), Pair(fake[1], real[1])


def _two_halves(n: int, most: int | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    size = min(n // 2, most or n)
    order = torch.randperm(n, generator=generator)
    return order[:size], order[size : 2 * size]


def error(first: Tensor, second: Tensor) -> Tensor:
    """Standard error of a statistic whose variance falls as 1/n.

    Args:
        first: the statistic of the first halves, (cuts, ...).
        second: the same of the second halves.

    >>> error(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 1.0]))
    tensor(1.)
    """
    return _odd(first, second).sqrt()


def interval_of_distance(value: float, plain: float, first: Tensor, second: Tensor) -> Interval:
    """The interval of a squared distance that is free of bias, and may be below 0.

    Args:
        value: the estimate.
        plain: the distance with its bias, at least 0.
        first: the distances of the first halves, (cuts,).
        second: the same of the second halves.

    >>> halves = torch.tensor([[1.0, 3.0, 2.0], [3.0, 1.0, 2.5]])
    >>> [round(end, 2) for end in interval_of_distance(1.9, 2.0, *halves)]
    [1.9, 0.78, 4.48]
    """
    odd = _odd(first, second).item()
    even = ((first + second) / 2).var(0).item() * (1 + 1 / len(first))
    least = T95 * math.sqrt(even)
    growth = odd / plain if plain > 0 else 0.0
    if value > least:
        growth = max(growth, (odd - 2 * even) / value)

    middle = value + T95**2 * growth / 2
    root = T95 * math.sqrt(max(0.0, even + growth * value + T95**2 * growth**2 / 4))
    low = middle - root if value > least else value - least
    high = middle + root if value > -least else value + least
    return Interval(value, min(low, value), max(high, value))


def _odd(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).square().mean(0) / 4
