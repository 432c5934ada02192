"""Numbers of varying width, one after the other in a string of bits, most significant bit first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dalm.codec.stream import Reader, Whole, damaged

WORD = 32
"""Bits of a word, and of a number at most: a number then touches no more than two words."""


def pack(values: Whole, widths: Whole) -> bytes:
    """Whole numbers below 2^width, (N,), as bytes; the last byte is filled up with zeros.

    >>> pack(np.array([1, 5]), np.array([2, 3])).hex()  # 01 101 000
    '68'
    """
    widths = widths.astype(np.int64)
    ends = np.cumsum(widths)
    bits = int(ends[-1]) if len(ends) else 0
    word, offset = _places(ends - widths)
    pairs = values.astype(np.uint64) << (2 * WORD - offset - widths).astype(np.uint64)
    words = np.zeros(bits // WORD + 2, np.uint64)
    np.add.at(words, word, pairs >> np.uint64(WORD))  # bits never meet, so that adding is setting
    np.add.at(words, word + 1, pairs & np.uint64(2**WORD - 1))
    return words.astype(">u4").tobytes()[: -(-bits // 8)]


def unpack(stream: bytes, widths: Whole) -> NDArray[np.int64]:
    """The numbers of these widths, (N,). The opposite of `pack`; DalmError if the stream is too
    short.

    >>> unpack(bytes([0b01101000]), np.array([2, 3]))
    array([1, 5])
    """
    widths = widths.astype(np.int64)
    ends = np.cumsum(widths)
    if len(ends) and ends[-1] > 8 * len(stream):
        raise damaged("its bits end too early")
    words = np.frombuffer(stream + bytes(-len(stream) % 4 + 8), ">u4").astype(np.uint64)
    word, offset = _places(ends - widths)
    pairs = words[word] << np.uint64(WORD) | words[word + 1]
    return ((pairs << offset.astype(np.uint64)) >> (2 * WORD - widths).astype(np.uint64)).astype(
        np.int64
    )


def take(reader: Reader, widths: Whole) -> NDArray[np.int64]:
    """The next numbers of a stream, which fill whole bytes."""
    return unpack(reader.take(-(-int(widths.sum()) // 8)), widths)


def _places(starts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return starts // WORD, starts % WORD


def bit_lengths(values: Whole) -> NDArray[np.int64]:
    """Digits in base 2 of whole numbers below 2^53, (N,); 0 has none.

    >>> bit_lengths(np.array([0, 1, 2, 3, 4, 255, 256]))
    array([0, 1, 2, 2, 3, 8, 9])
    """
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)
