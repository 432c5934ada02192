r"""Asymmetric numeral systems with one static table (Duda 2009): the message becomes one whole
number.

The state is a number s. To add a symbol of probability f / M, M = 2^24, is to go from s to

    s' = (s // f) M + (start of the symbol's share) + s mod f,

which is about s M / f, longer by log₂ M / f bits; from s' mod M the decoder reads the symbol off
and goes back. Words of 32 bits leave the state when it grows too long. Nothing is rounded to whole
bits, so that the length is that of the cross entropy

    H(p, f / M) = H(p) + KL(p, f / M),

in bits a symbol, and at most 64 bits for the last state. Here the table is the counts themselves,
exact up to 2^16 symbols and in proportion, at least one each, beyond; KL is then below 3 K / 2^16
bits a symbol for K used symbols. The price is the table: the stream is the used symbols, their
weights as Rice codes, and the words. The last symbol in is the first out, so the symbols go in from
their end.
"""

from __future__ import annotations

from typing import Any, final

import constriction
import numpy as np
import torch
from numpy.typing import NDArray

from dalm.codec.classic.alphabet import read_table, read_used, used, write_table, write_used
from dalm.codec.classic.coder import Coder
from dalm.codec.stream import StreamReader, Whole, damaged, smallest, word_bytes
from dalm.exact import fixed

MOST_WEIGHT = 1 << 16
"""What the weights of a message sum to, about, if it is longer."""


@final
class ANS(Coder):
    """One table for all symbols, exact to a fraction of a bit.

    >>> coder = ANS()
    >>> stream = coder.encode(np.array([0, 1, 0, 2, 0, 0]), levels=3)
    >>> coder.decode(stream)
    array([0, 1, 0, 2, 0, 0], dtype=uint8)
    """

    name = "ans"
    year = 2009
    paper = "Duda, Asymmetric numeral systems"

    def _encode(self, symbols: Whole, levels: int) -> bytes:
        alphabet, counts, ranks = used(symbols)
        head = write_used(alphabet, levels)
        if len(alphabet) == 1:
            return head
        weights = weigh(counts)
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(ranks.astype(np.int32), _categorical(weights))
        return head + write_table(weights - 1, MOST_WEIGHT - 1) + word_bytes(coder.get_compressed())

    def _decode(self, reader: StreamReader, count: int, levels: int) -> Whole:
        alphabet = read_used(reader, levels)
        if len(alphabet) == 1:
            return np.full(count, alphabet[0], smallest(levels))
        weights = read_table(reader) + 1
        # The stream's length bounds no count: the symbol of rank 0 leaves an empty state empty, at
        # no cost.
        if len(weights) != len(alphabet) or (count <= MOST_WEIGHT and weights.sum() != count):
            raise damaged(f"its {len(weights)} weights are not those of {count:,} symbols")
        ranks = _read_ranks(reader, weights, count)
        counts = np.bincount(ranks, minlength=len(alphabet))
        if not np.array_equal(weigh(counts), weights):
            raise damaged("its symbols are not as frequent as its weights say")
        return alphabet.astype(smallest(levels))[ranks]


def weigh(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts (K,) as weights of at most `MOST_WEIGHT` (K,).

    >>> weigh(np.array([1, 2**20]))
    array([    1, 65535])
    """
    total = int(counts.sum())
    return counts if total <= MOST_WEIGHT else np.maximum(1, counts * MOST_WEIGHT // total)


def _categorical(weights: NDArray[np.int64]) -> Any:
    """Weights (K,) as constriction takes them, in parts of 2^24."""
    table = fixed.table(torch.from_numpy(weights.astype(np.float64)))
    return constriction.stream.model.Categorical(table.numpy(), perfect=False)


def _read_ranks(reader: StreamReader, weights: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    words = reader.words()
    if len(words) and not words[-1]:
        raise damaged("no encoder leaves a zero as its last word")
    coder = constriction.stream.stack.AnsCoder(words)
    ranks: NDArray[np.int32] = coder.decode(_categorical(weights), count)
    if not coder.is_empty():
        raise damaged("words follow its last symbol")
    return ranks
