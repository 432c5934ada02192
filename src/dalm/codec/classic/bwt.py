r"""The Burrows–Wheeler transform (Burrows & Wheeler 1994): sort the symbols by what follows them.

Write all suffixes of the message in order, with an end that comes before all symbols; the transform
is the symbol before each. Symbols with the same future, which is a context of any length, now stand
together, so that the message is locally almost constant. It is a permutation, and it can be undone:
the k-th occurrence of a symbol in the transform is its k-th occurrence in order, which says for
each row of the table where its next one is. One number more, the row of the message itself, says
where to begin.

Move-to-front turns "locally the same symbols" into small ranks, runs of zeros become their length,
and the adaptive range coder takes what is left. With an order-0 coder that costs, up to terms that
vanish for long messages, at most

    μ H_k + log₂ ζ(μ)

bits a symbol, for μ = 2 that is 2 H_k + 0.72, for every μ > 1 and every k at the same time, where
H_k is the empirical entropy in contexts of k symbols (Kaplan, Landau & Verbin 2006).

The suffixes are sorted by libdivsufsort. The stream is the used symbols, the row, and the range
coder's stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from pydivsufsort import divsufsort

from dalm.codec.classic.adaptive import Adaptive
from dalm.codec.classic.alphabet import read_used, used, write_used
from dalm.codec.classic.coder import Coder
from dalm.codec.classic.move_to_front import from_ranks, from_tokens, ranks, tokens
from dalm.codec.stream import Reader, Whole, damaged, smallest, varint
from dalm.core import within


@final
@dataclass(frozen=True)
class BWT(Coder):
    """Sorting by context, move-to-front, runs of zeros and the adaptive range coder.

    Args:
        order: tokens of context of the range coder, from 0 to 2.

    >>> coder, symbols = BWT(), np.frombuffer(b"banana" * 100, np.uint8)
    >>> stream = coder.encode(symbols, levels=256)
    >>> len(stream), coder.decode(stream)[:6].tobytes()
    (25, b'banana')
    """

    order: int = 0

    name = "bwt"
    year = 1994
    paper = "Burrows & Wheeler, A block-sorting lossless data compression algorithm"

    def __post_init__(self) -> None:
        within(self.name, 0, 2, order=self.order)

    def _encode(self, symbols: Whole, levels: int) -> bytes:
        found, _, dense = used(symbols)
        column, row = transform(dense.astype(smallest(len(found))))
        written = tokens(ranks(column, len(found)))
        return (
            write_used(found, levels)
            + varint(row)
            + Adaptive(self.order).encode(written, len(found) + 1)
        )

    def _decode(self, reader: Reader, count: int, levels: int) -> Whole:
        found = read_used(reader, levels)
        row = reader.number(count)
        zeros_and_ranks = from_tokens(Adaptive().decode(reader.rest()).astype(np.int64), count)
        if zeros_and_ranks.max() >= len(found):
            raise damaged(f"it names more than {len(found)} symbols")
        return found[restore(from_ranks(zeros_and_ranks, len(found)), row)]


def transform(symbols: Whole) -> tuple[Whole, int]:
    """The symbol before each suffix (N,), N > 0, and the row of the message itself, before which
    there is none.

    >>> column, row = transform(np.frombuffer(b"banana", np.uint8))
    >>> column.tobytes(), row  # annb$aa
    (b'annbaa', 4)
    """
    starts = divsufsort(symbols.copy())  # ctypes refuses an array that it may not write
    row = int(np.flatnonzero(starts == 0)[0]) + 1  # the empty suffix is row 0
    return np.concatenate([symbols[-1:], symbols[np.delete(starts, row - 1) - 1]]), row


def restore(column: NDArray[np.int64], row: int) -> NDArray[np.int64]:
    """The message (N,) whose transform it is."""
    full = np.insert(column + 1, row, 0)
    following = np.argsort(full, kind="stable").astype(np.int32).data
    rows = np.empty(len(column), np.int32)
    at = row
    out = rows.data
    for k in range(len(column)):
        out[k] = at = following[at]
    return full[rows] - 1
