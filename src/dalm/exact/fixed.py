"""Arithmetic that gives the same bits on every machine, at every batch size and on any number of
threads.

Two things make floating-point results differ: sums, whose value depends on their order, and
functions such as `exp`, which every library rounds in its own way. A single addition,
multiplication, division or rounding does not: IEEE 754 fixes it. So this module

- sums only whole numbers below 2⁵³, which float64 holds exactly in any order;
- takes functions from tables, made once from correctly rounded values, with straight lines between
  them.

Probabilities end as tables of 2²⁴ parts, the form in which an entropy coder takes them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import mpmath
import torch
from torch import Tensor

PRECISION = 24
"""Bits of a probability in a table."""
PARTS = 1 << PRECISION
LOG_2 = 0.6931471805599453
MP = mpmath.MPContext()
"""mpmath at a precision of our own, which nobody else changes."""
MP.prec = 80
WHOLE = 1 << 28
"""What a probability of one is before it becomes a table: a whole number, so that sums of
probabilities are exact.
"""


def on_grid(x: Tensor, bits: int) -> Tensor:
    """Numbers rounded to multiples of 2^-bits: adding so large a number leaves no room for finer
    ones.

    Args:
        x: float64 of any shape, below 2^(51 - bits).
        bits: after the point.

    >>> on_grid(torch.tensor([0.3, -0.3], dtype=torch.float64), 2)
    tensor([ 0.2500, -0.2500], dtype=torch.float64)
    """
    room = 1.5 * 2.0 ** (52 - bits)
    return x.add(room).sub_(room)


_T = TypeVar("_T")
_making = threading.RLock()


def once(make: Callable[[], _T]) -> Callable[[], _T]:
    """`make`, called once by whichever thread comes first; others wait. mpmath computes for one
    thread at a time.
    """
    cached = functools.cache(make)

    @functools.wraps(make)
    def get() -> _T:
        with _making:
            return cached()

    return get


class LookupTable:
    """A function by table: known at equal steps from `low` to `high`, straight between, and beyond
    as at the ends.

    Args:
        function: of a number of `MP`.
        low, high: ends of the table.
        steps: steps in a unit, a power of two.

    >>> square = LookupTable(lambda x: x * x, 0, 2, steps=2)
    >>> square(torch.tensor([1.0, 1.25, 9.0], dtype=torch.float64))
    tensor([1.0000, 1.6250, 4.0000], dtype=torch.float64)
    """

    def __init__(self, function: Callable[[Any], Any], low: int, high: int, steps: int) -> None:
        self.low = low
        self.steps = steps
        self.last = (high - low) * steps
        places = [MP.mpf(low) + MP.mpf(k) / steps for k in range(self.last + 1)]
        values = [float(function(place)) for place in places]
        self.values = torch.tensor(values, dtype=torch.float64)
        self.slopes = torch.cat([self.values.diff(), self.values.new_zeros(1)])

    def __call__(self, x: Tensor) -> Tensor:
        """The function at `x`, float64 of any shape."""
        place = (x - self.low).mul_(self.steps).clamp_(0, self.last)
        left = place.floor()
        index = left.int()
        rise = self._at(self.slopes, index).mul_(place.sub_(left))
        return rise.add_(self._at(self.values, index))

    def nearest(self, x: Tensor) -> Tensor:
        """The function at the step nearest to `x`: half the cost, for when the table is fine
        enough.
        """
        place = x.mul(self.steps).add_(0.5 - self.low * self.steps)
        return self._at(self.values, place.clamp_(0, self.last).int())

    def _at(self, values: Tensor, index: Tensor) -> Tensor:
        return values.to(index.device).index_select(0, index.flatten()).view(index.shape)


@once
def sigmoid_table() -> LookupTable:
    """Of 1 / (1 + e^-x)."""
    return LookupTable(lambda x: 1 / (1 + MP.exp(-x)), -24, 24, 128)


@once
def exp_table() -> LookupTable:
    """Of e^x."""
    return LookupTable(MP.exp, -24, 12, 256)


@once
def normal_cdf_table() -> LookupTable:
    """Of Φ(x)."""
    return LookupTable(MP.ncdf, -7, 7, 512)


@once
def log2_table() -> LookupTable:
    """Of log₂ x over one octave."""
    return LookupTable(lambda x: MP.log(x, 2), 1, 2, 4096)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^-x), to 1e-5 of itself."""
    return sigmoid_table()(x)


def exp(x: Tensor) -> Tensor:
    """e^x from e^-24 to e^12, to 2e-6 of itself."""
    return exp_table()(x)


def normal_cdf(x: Tensor) -> Tensor:
    """Φ(x), to 2e-7."""
    return normal_cdf_table()(x)


def log2(x: Tensor) -> Tensor:
    """Log₂ of positive numbers, to 2e-8.

    >>> log2(torch.tensor([8.0, 12.0], dtype=torch.float64))
    tensor([3.0000, 3.5850], dtype=torch.float64)
    """
    mantissa, exponent = torch.frexp(x)
    return log2_table()(2 * mantissa) + (exponent - 1)


def whole(probability: Tensor) -> Tensor:
    """Numbers from 0 to 1 as whole numbers of 2^-28, in float64, whose sums are exact."""
    return (probability * WHOLE).floor_()


def table(weights: Tensor) -> Tensor:
    """Whole weights (..., K) to parts of 2²⁴ - K (..., K), in float32, which holds them exactly.

    Every level gets one part more in the coder, so that none is impossible; together they are 2²⁴.

    Args:
        weights: whole numbers in float64 whose sum is positive and below 2⁵³.

    >>> table(torch.tensor([1.0, 3.0], dtype=torch.float64))
    tensor([ 4194303., 12582911.])
    """
    return table_of(weights.cumsum(-1))


def table_of(cumulative: Tensor) -> Tensor:
    """As `table`, from the sums of the weights up to each level (..., K)."""
    parts = PARTS - cumulative.shape[-1]
    ends = (cumulative * (parts / cumulative[..., -1:])).floor_()
    ends[..., -1] = parts
    tables = ends.float()
    tables[..., 1:] -= ends[..., :-1]
    return tables


def binary_table(probability: Tensor) -> Tensor:
    """Probability of one (...) to the table of two levels (..., 2)."""
    ones = (probability * (PARTS - 2)).floor()
    return torch.stack([PARTS - 2 - ones, ones], -1).float()


def shares(log_weights: Tensor) -> Tensor:
    """Log₂ weights (..., K) to whole weights of at most 2²⁰ in proportion, at least one of them
    2²⁰.
    """
    return shares_below(log_weights - log_weights.amax(-1, keepdim=True))


def shares_below(log_weights: Tensor) -> Tensor:
    """Log₂ weights of at most 0 to whole weights of at most 2²⁰."""
    return (exp(log_weights.double() * LOG_2) * 2**20).floor()


def bits(tables: Tensor, x: Tensor) -> Tensor:
    """Code length of levels, (...), in bits, as multiples of 2^-20, whose sums are exact.

    Args:
        tables: (..., K).
        x: levels, (...).
    """
    parts = tables.gather(-1, x.long()[..., None])[..., 0].double() + 1
    return on_grid(PRECISION - log2(parts), 20)
