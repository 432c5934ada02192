"""How streams are written down: whole numbers of seven bits a byte (LEB128), sections with their
length, words.

A reader trusts nothing: every number has a largest value, every section must be there in full.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from dalm.errors import DalmError

Whole = NDArray[np.integer]
Words = NDArray[np.uint32]

WORD_BYTES = 4
MOST_SYMBOLS = 1 << 27
"""Symbols in a stream: a damaged count then asks for no more than that many bytes or so."""
MOST_LEVELS = 1 << 17
"""Levels of symbols: twice the 2^16 of data, for the symbols that a transform adds."""


def damaged(reason: str) -> DalmError:
    """The error of a stream that cannot be read."""
    return DalmError(f"the stream is damaged, or was written by another coder: {reason}")


def varint(*numbers: int) -> bytes:
    """Whole numbers from 0, the low seven bits first; the top bit says that more follow.

    >>> varint(5, 300).hex()
    '05ac02'
    """
    out = bytearray()
    for number in numbers:
        while number > 127:
            out.append(number & 127 | 128)
            number >>= 7
        out.append(number)
    return bytes(out)


def section(content: bytes) -> bytes:
    """A part of a stream, after its length."""
    return varint(len(content)) + content


class StreamReader:
    """Reads a stream from its beginning.

    Args:
        stream: its bytes.

    >>> reader = StreamReader(varint(300) + section(b"abc"))
    >>> reader.number(1000), reader.section()
    (300, b'abc')
    """

    def __init__(self, stream: bytes) -> None:
        self.stream = stream
        self.at = 0

    def number(self, most: int) -> int:
        """The next whole number; DalmError if it is above `most`."""
        value = 0
        for shift in itertools.count(0, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if value > most or shift > 56:
                break
            if byte < 128:
                return value
        raise damaged(f"it holds a number above {most}")

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > self.left:
            raise damaged(f"it ends {size - self.left} bytes too early")
        start = self.at
        self.at += size
        return self.stream[start : self.at]

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self.stream) - self.at

    def section(self) -> bytes:
        """The next section."""
        return self.take(self.number(self.left))

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)

    def words(self) -> Words:
        """All that is left, as constriction takes it."""
        if self.left % 4:
            raise damaged("its last word is not whole")
        return np.frombuffer(self.rest(), "<u4").astype(np.uint32)

    def require(self, count: int, bits: float) -> None:
        """Refuse a count that what is left cannot account for.

        Args:
            count: symbols that are said to follow.
            bits: that each takes at least.

        Raises:
            DalmError: so many do not fit.
        """
        if count * bits > 8 * self.left:
            raise damaged(f"{count:,} symbols do not fit into {self.left} bytes")


def word_bytes(words: Words) -> bytes:
    """What constriction wrote, low byte first on every machine."""
    return words.astype("<u4").tobytes()


def smallest(levels: int) -> np.dtype[np.unsignedinteger]:
    """The smallest unsigned type of levels 0 … levels - 1.

    >>> smallest(256), smallest(257)
    (dtype('uint8'), dtype('uint16'))
    """
    return np.dtype(np.min_scalar_type(levels - 1))
