r"""Huffman coding (Huffman 1952), with canonical codes (Schwartz & Kallick 1964).

Give each symbol a word of whole bits such that no word begins another. Lengths l are those of such
a code exactly if Kraft's inequality Σ 2^-l ≤ 1 holds. Merge the two rarest symbols into one, again
and again: the tree of merges is a code of the smallest mean length L = Σ p l, and

    H ≤ L < H + 1

for the entropy H of the frequencies p: the gap is what it costs to round -log₂ p to whole bits,
largest where one symbol is far more likely than 1/2. Equality holds when every p is a power of 1/2.

Only the lengths are sent: words of equal length are consecutive numbers in the order of their
symbols. The stream is the used symbols, the longest length, how much shorter each word is, and the
words. Words have at most 31 bits, bitarray's limit; frequencies so uneven that they want more are
flattened.
"""

from __future__ import annotations

import itertools
from typing import final

import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.alphabet import read_table, read_used, used, write_table, write_used
from dalm.codec.classic.bits import pack_bits
from dalm.codec.classic.coder import Coder
from dalm.codec.extra import require
from dalm.codec.stream import StreamReader, Whole, damaged, smallest, varint

MOST_WORD_BITS = 31
"""Bits of a word."""


@final
class Huffman(Coder):
    """A word of whole bits for each symbol, by frequency.

    >>> coder = Huffman()
    >>> stream = coder.encode(np.array([0, 1, 0, 2, 0, 0]), levels=3)
    >>> coder.decode(stream)
    array([0, 1, 0, 2, 0, 0], dtype=uint8)
    """

    name = "huffman"
    year = 1952
    paper = "Huffman, A method for the construction of minimum-redundancy codes"

    def _encode(self, symbols: Whole, levels: int) -> bytes:
        alphabet, counts, ranks = used(symbols)
        head = write_used(alphabet, levels)
        if len(alphabet) == 1:
            return head
        lengths = word_lengths(counts)
        longest = int(lengths.max())
        head += varint(longest) + write_table(longest - lengths, MOST_WORD_BITS)
        return head + pack_bits(words(lengths)[ranks], lengths[ranks])

    def _decode(self, reader: StreamReader, count: int, levels: int) -> Whole:
        alphabet = read_used(reader, levels)
        if len(alphabet) == 1:
            return np.full(count, alphabet[0], smallest(levels))
        lengths = reader.number(MOST_WORD_BITS) - read_table(reader)
        if len(lengths) != len(alphabet) or lengths.min() < 1 or np.exp2(-lengths).sum() != 1:
            raise damaged("its word lengths are not those of a code")
        reader.require(count, 1)
        return alphabet[_read_ranks(reader.rest(), lengths, count)]


def word_lengths(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits of the words of two or more symbols (K,), given how often each is (K,).

    >>> word_lengths(np.array([1, 5, 1]))
    array([2, 1, 2])
    """
    canonical_huffman = require("bitarray.util").canonical_huffman
    code, by_length, _ = canonical_huffman(dict(enumerate(counts.tolist())))
    if len(by_length) > MOST_WORD_BITS + 1:
        return word_lengths((counts + 1) // 2)
    return np.array([len(code[rank]) for rank in range(len(counts))])


def words(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The canonical words of these lengths, as numbers (K,): in order of length, then of symbol.

    bitarray's own words of one length are in the order of its tree, which the lengths do not tell.

    >>> words(np.array([2, 1, 2]))  # 10, 0, 11
    array([2, 0, 3])
    """
    shares = 1 << MOST_WORD_BITS - lengths
    order = np.argsort(lengths, kind="stable")
    starts = np.empty_like(shares)
    starts[order] = np.cumsum(shares[order]) - shares[order]
    return starts >> MOST_WORD_BITS - lengths


def _read_ranks(stream: bytes, lengths: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    bits = require("bitarray").bitarray(endian="big")
    bits.frombytes(stream)
    canonical_decode = require("bitarray.util").canonical_decode
    words_of_length = np.bincount(lengths).tolist()
    in_order = np.argsort(lengths, kind="stable").tolist()
    decoded = canonical_decode(bits, words_of_length, in_order)
    try:
        ranks = np.fromiter(itertools.islice(decoded, count), np.int64, count)
    except ValueError:
        raise damaged("its words end too early") from None
    if len(bits) - lengths[ranks].sum() > 7:
        raise damaged("bytes follow its last word")
    return ranks
