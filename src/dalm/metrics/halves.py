"""Standard errors of what is computed from two sets, both redrawn: from random halves of them.

Cut both sets at random into halves, and compute the statistic from either pair of halves: f₁, f₂.
They are independent draws at half the size, so where a variance falls as 1/n

    E (f₁ - f₂)² / 4 = Var f,

averaged over cuts (half-sampling; McCarthy 1969, Politis & Romano 1994). A squared distance between
equal distributions is degenerate: V₁/n vanishes, V₂/n² is left, and the same average gives V₁/n +
2 V₂/n². The cuts of one pair of sets move (f₁ + f₂)/2 by V₂/n² alone, so for such statistics

    Var f = E (f₁ - f₂)² / 4 - Var (f₁ + f₂)/2.

A bootstrap redraws rows twice, which no distance between neighbours survives; halves do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

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


def error_of_distance(first: Tensor, second: Tensor) -> Tensor:
    """Standard error of a squared distance, which is degenerate where the distributions agree.

    Args:
        first: the distances of the first halves, (cuts, ...).
        second: the same of the second halves.

    >>> error_of_distance(torch.tensor([1.0, 3.0]), torch.tensor([3.0, 1.0]))
    tensor(1.)
    """
    even = ((first + second) / 2).var(0)
    # The quadratic part alone is at least there, whatever chance makes of the difference.
    return torch.maximum(_odd(first, second) - even, even).sqrt()


def _odd(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).square().mean(0) / 4
