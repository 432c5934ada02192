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

from typing import final

import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.adaptive import Adaptive
from dalm.codec.classic.alphabet import read_used, used, write_used
from dalm.codec.classic.coder import Coder
from dalm.codec.classic.move_to_front import from_ranks, from_tokens, ranks, tokens
from dalm.codec.extra import require
from dalm.codec.stream import StreamReader, Whole, damaged, smallest, varint
from dalm.options import option


@final
class BWT(Coder):
    """Sorting by context, move-to-front, runs of zeros and the adaptive range coder.

    >>> coder, symbols = BWT(), np.frombuffer(b"banana" * 100, np.uint8)
    >>> stream = coder.encode(symbols, levels=256)
    >>> len(stream), coder.decode(stream)[:6].tobytes()
    (25, b'banana')
    """

    order: int = option("tokens of context of the range coder", default=0, at_least=0, at_most=2)

    name = "bwt"
    year = 1994
    paper = "Burrows & Wheeler, A block-sorting lossless data compression algorithm"

    def _encode(self, symbols: Whole, levels: int) -> bytes:
        alphabet, _, dense = used(symbols)
        column, row = transform(dense.astype(smallest(len(alphabet))))
        written = tokens(ranks(column, len(alphabet)))
        stream = Adaptive(order=self.order).encode(written, len(alphabet) + 1)
        return write_used(alphabet, levels) + varint(row) + stream

    def _decode(self, reader: StreamReader, count: int, levels: int) -> Whole:
        alphabet = read_used(reader, levels)
        row = reader.number(count)
        written = Adaptive().decode(reader.rest()).astype(np.int64)
        recencies = from_tokens(written, count)
        if recencies.max() >= len(alphabet):
            raise damaged(f"it names more than {len(alphabet)} symbols")
        column = from_ranks(recencies, len(alphabet))
        return alphabet[inverse_transform(column, row)]


def transform(symbols: Whole) -> tuple[Whole, int]:
    """The symbol before each suffix (N,), N > 0, and the row of the message itself, before which
    there is none.

    >>> column, row = transform(np.frombuffer(b"banana", np.uint8))
    >>> column.tobytes(), row  # annb$aa
    (b'annbaa', 4)
    """
    divsufsort = require("pydivsufsort").divsufsort
    starts = divsufsort(symbols.copy())  # ctypes refuses an array that it may not write
    row = int(np.flatnonzero(starts == 0)[0]) + 1  # the empty suffix is row 0
    before = symbols[np.delete(starts, row - 1) - 1]
    return np.concatenate([symbols[-1:], before]), row


def inverse_transform(column: NDArray[np.int64], row: int) -> NDArray[np.int64]:
    """The message (N,) of a transform.

    Args:
        column: the symbol before each suffix, (N,).
        row: of the message itself.
    """
    full = np.insert(column + 1, row, 0)
    following = np.argsort(full, kind="stable").astype(np.int32).data
    rows = np.empty(len(column), np.int32)
    visited = rows.data  # a memoryview: faster than an array, entry by entry
    at = row
    for k in range(len(column)):
        at = following[at]
        visited[k] = at
    return full[rows] - 1
