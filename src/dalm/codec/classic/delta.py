r"""Differences (Cutler 1952; Elias 1955): the simplest predictor says that all stays as it is.

A symbol is replaced by its difference to the one before it, modulo the levels, so that the
differences have the same alphabet:

    d_t = (x_t - x_{t-1}) mod levels, x_0 = 0.

The differences then go to the adaptive range coder. They are folded first, 0, -1, 1, -2, 2, … to 0,
1, 2, 3, 4, …, so that small changes are close together in its tree. At order 0 the length is the
entropy H(d), and

    H(x_t | x_{t-1}) ≤ H(d) ≤ log₂ levels :

never better than an order-1 context, but with one distribution to learn instead of one for each
level, which is much with many levels and few data. It reaches the bound where the change does not
depend on the level, as in a random walk. It costs more than the symbols themselves where neighbours
are unrelated: H(d) ≥ H(x) then.
"""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.adaptive import Adaptive
from dalm.codec.classic.coder import Coder
from dalm.codec.stream import StreamReader, Whole
from dalm.options import option


@final
class Delta(Coder):
    """Differences of neighbours, for sequences that change little.

    >>> coder, symbols = Delta(), np.arange(1000)
    >>> stream = coder.encode(symbols, levels=1000)
    >>> len(stream), np.array_equal(coder.decode(stream), symbols)
    (24, True)
    """

    order: int = option(
        "differences of context of the range coder", default=0, at_least=0, at_most=2
    )

    name = "delta"
    year = 1955
    paper = "Elias, Predictive coding"

    def _encode(self, symbols: Whole, levels: int) -> bytes:
        values = symbols.astype(np.int64)
        steps = np.ediff1d(values, to_begin=values[:1])
        return Adaptive(order=self.order).encode(fold(steps, levels), levels)

    def _decode(self, reader: StreamReader, count: int, levels: int) -> Whole:
        folded = Adaptive().decode(reader.rest()).astype(np.int64)
        return np.cumsum(unfold(folded, levels)) % levels


def fold(steps: NDArray[np.int64], levels: int) -> NDArray[np.int64]:
    """Differences as whole numbers, the smallest first.

    Args:
        steps: differences modulo the levels, of any shape.
        levels: size of the alphabet.

    >>> fold(np.array([0, -1, 1, -2, 2]), levels=5)
    array([0, 1, 2, 3, 4])
    """
    steps = steps % levels
    return np.where(2 * steps < levels, 2 * steps, 2 * (levels - steps) - 1)


def unfold(folded: NDArray[np.int64], levels: int) -> NDArray[np.int64]:
    """The opposite of `fold`.

    Args:
        folded: what `fold` gave.
        levels: size of the alphabet, what the differences are modulo.
    """
    return np.where(folded % 2, levels - (folded + 1) // 2, folded // 2)
