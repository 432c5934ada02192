"""Numbers of varying width, one after the other in a string of bits, most significant bit first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dalm.codec.stream import StreamReader, Whole, damaged

WORD_BITS = 32
"""Bits of a word, and of a number at most: a number then touches no more than two words."""


def pack_bits(values: Whole, widths: Whole) -> bytes:
    """Whole numbers as bytes; the last byte is filled up with zeros.

    Args:
        values: numbers below 2^width, (N,).
        widths: bits of each, (N,), from 0 to 32.

    >>> pack_bits(np.array([1, 5]), np.array([2, 3])).hex()  # 01 101 000
    '68'
    """
    widths = widths.astype(np.int64)
    ends = np.cumsum(widths)
    bits = int(ends[-1]) if len(ends) else 0
    word, offset = _places(ends - widths)
    pairs = values.astype(np.uint64) << (2 * WORD_BITS - offset - widths).astype(np.uint64)
    words = np.zeros(bits // WORD_BITS + 2, np.uint64)
    np.add.at(
        words, word, pairs >> np.uint64(WORD_BITS)
    )  # bits never meet, so that adding is setting
    np.add.at(words, word + 1, pairs & np.uint64(2**WORD_BITS - 1))
    return words.astype(">u4").tobytes()[: -(-bits // 8)]


def unpack_bits(stream: bytes, widths: Whole) -> NDArray[np.int64]:
    """The numbers (N,) of a stream. The opposite of `pack_bits`.

    Args:
        stream: what `pack_bits` gave.
        widths: bits of each number, (N,).

    Raises:
        DalmError: the stream is too short.

    >>> unpack_bits(bytes([0b01101000]), np.array([2, 3]))
    array([1, 5])
    """
    widths = widths.astype(np.int64)
    ends = np.cumsum(widths)
    if len(ends) and ends[-1] > 8 * len(stream):
        raise damaged("its bits end too early")
    words = np.frombuffer(stream + bytes(-len(stream) % 4 + 8), ">u4").astype(np.uint64)
    word, offset = _places(ends - widths)
    pairs = words[word] << np.uint64(WORD_BITS) | words[word + 1]
    aligned = pairs << offset.astype(np.uint64)
    return (aligned >> (2 * WORD_BITS - widths).astype(np.uint64)).astype(np.int64)


def take_bits(reader: StreamReader, widths: Whole) -> NDArray[np.int64]:
    """The next numbers of a stream, (N,), which fill whole bytes.

    Args:
        reader: of the stream.
        widths: bits of each number, (N,).
    """
    size = -(-int(widths.sum()) // 8)
    return unpack_bits(reader.take(size), widths)


def _places(starts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return starts // WORD_BITS, starts % WORD_BITS


def bit_lengths(values: Whole) -> NDArray[np.int64]:
    """Digits in base 2 of whole numbers below 2^53, (N,); 0 has none.

    >>> bit_lengths(np.array([0, 1, 2, 3, 4, 255, 256]))
    array([0, 1, 2, 2, 3, 8, 9])
    """
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)
