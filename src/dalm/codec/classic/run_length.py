r"""Run-length coding (Capon 1959; Golomb 1966): say how long, not again and again.

A run is a stretch of equal symbols. The message becomes two shorter ones, the symbols of the runs
and their lengths, and each goes to the adaptive range coder. Symbols and lengths are coded apart,
so that R runs in N symbols cost

    R (H(symbol of a run) + H(length of a run)) / N

bits a symbol at order 0. For a source of two levels in which each symbol depends on the one before
it alone, runs are independent, lengths are geometric and the symbols merely alternate: with `order`
1, which learns that, this is the entropy rate of the source, and Capon's result for pictures of
black and white. Where runs are short it costs more than coding the symbols, since a run of one is
two numbers.

Runs of more than 256 are cut, so that lengths are an alphabet of bytes. The stream is the two
streams, the first after its length.
"""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.adaptive import Adaptive
from dalm.codec.classic.coder import Coder
from dalm.codec.stream import StreamReader, Whole, damaged, section
from dalm.options import option

MOST_RUN = 256
"""Symbols in a run."""


@final
class RunLength(Coder):
    """Symbols of runs, and their lengths.

    >>> coder, symbols = RunLength(), np.repeat([3, 0, 7], [200, 1000, 2])
    >>> stream = coder.encode(symbols, levels=8)
    >>> len(stream), np.array_equal(coder.decode(stream), symbols)
    (19, True)
    """

    order: int = option("symbols of context of the range coder", default=0, at_least=0, at_most=2)

    name = "run_length"
    year = 1959
    paper = "Capon, A probabilistic model for run-length coding of pictures"

    def _encode(self, symbols: Whole, levels: int) -> bytes:
        coder = Adaptive(order=self.order)
        values, lengths = runs(symbols)
        return section(coder.encode(values, levels)) + coder.encode(lengths - 1, MOST_RUN)

    def _decode(self, reader: StreamReader, count: int, levels: int) -> Whole:
        coder = Adaptive()
        values = coder.decode(reader.section())
        lengths = coder.decode(reader.rest()).astype(np.int64) + 1
        if len(values) != len(lengths) or int(lengths.sum()) != count:
            raise damaged(
                f"{len(values)} runs and {len(lengths)} lengths are not {count:,} symbols"
            )
        return np.repeat(values, lengths)


def runs(symbols: Whole) -> tuple[Whole, NDArray[np.int64]]:
    """The symbols of runs (R,) and their lengths (R,), at most `MOST_RUN` each.

    >>> runs(np.array([5, 5, 5, 0, 0, 5]))
    (array([5, 0, 5]), array([3, 2, 1]))
    """
    starts = np.flatnonzero(np.diff(symbols, prepend=symbols[0] ^ 1))
    lengths = np.diff(starts, append=len(symbols))
    pieces = -(-lengths // MOST_RUN)
    cut = np.full(int(pieces.sum()), MOST_RUN)
    cut[np.cumsum(pieces) - 1] = lengths - MOST_RUN * (pieces - 1)
    return np.repeat(symbols[starts], pieces), cut
