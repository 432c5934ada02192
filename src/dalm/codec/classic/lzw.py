r"""LZW (Welch 1984, after Ziv & Lempel 1978): a dictionary that both sides grow.

The dictionary begins with all single symbols. The coder takes the longest phrase w that is in it,
writes its number, and adds w with the symbol that follows. The decoder adds the same phrases one
step later: each is its last phrase with the first symbol of the next. Only one number can name a
phrase that the decoder has not finished, the newest; such a phrase ends with its own first symbol.

A message of N symbols with C phrases costs about C log₂ C bits. For a stationary ergodic source

    C log₂ C / N → H, the entropy rate,

whatever the source, without a model (Ziv & Lempel 1978), but slowly: for a memoryless source the
excess falls like 1 / log N (Louchard & Szpankowski 1997). Short or random messages therefore grow.

Numbers are as wide as the dictionary of their time needs, 9, 10, … bits for bytes. When they reach
`bits` bits, or one more than a symbol needs if that is more, the dictionary stays as it is, as
Welch's does at 12 bits. The stream is `bits`, how many numbers there are, and the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.bits import bit_lengths, pack, take
from dalm.codec.classic.coder import Coder
from dalm.codec.stream import LARGEST, Reader, Whole, damaged, smallest, varint
from dalm.core import within

WIDEST = 24
"""Bits of a number, at most: a dictionary of more phrases would not fit into memory."""


@final
@dataclass(frozen=True)
class LZW(Coder):
    """Phrases of a growing dictionary.

    Args:
        bits: of a number at most, from 1 to 24.

    >>> coder, symbols = LZW(), np.frombuffer(b"TOBEORNOTTOBEORTOBEORNOT", np.uint8)
    >>> stream = coder.encode(symbols, levels=256)
    >>> len(stream), coder.decode(stream).tobytes()
    (23, b'TOBEORNOTTOBEORTOBEORNOT')
    """

    bits: int = 16

    name = "lzw"
    year = 1984
    paper = "Welch, A technique for high-performance data compression"

    def __post_init__(self) -> None:
        within(self.name, 1, WIDEST, bits=self.bits)

    def _encode(self, symbols: Whole, levels: int) -> bytes:
        numbers = phrases(symbols.tolist(), levels, size(self.bits, levels))
        return varint(self.bits, len(numbers)) + pack(
            np.array(numbers), widths(len(numbers), levels, size(self.bits, levels))
        )

    def _decode(self, reader: Reader, count: int, levels: int) -> Whole:
        most = size(reader.number(WIDEST), levels)
        total = reader.number(LARGEST)
        reader.enough(total, 1)
        numbers = take(reader, widths(total, levels, most)).tolist()
        return np.frombuffer(b"".join(spell(numbers, count, levels, most)), smallest(levels))


def size(bits: int, levels: int) -> int:
    """Phrases in a full dictionary: room for at least as many as there are symbols."""
    return 1 << max(bits, (levels - 1).bit_length() + 1)


def widths(total: int, levels: int, most: int) -> NDArray[np.int64]:
    """Bits of each number (total,): its dictionary has grown by one for each before it."""
    return bit_lengths(np.minimum(levels + np.arange(total), most) - 1)


def phrases(symbols: list[int], levels: int, most: int) -> list[int]:
    """The numbers of the longest known phrases.

    Args:
        symbols: at least one.
        levels: size of the alphabet.
        most: phrases in the dictionary, at most.

    >>> phrases([0, 1, 0, 1, 0, 1, 0], levels=2, most=16)
    [0, 1, 2, 4]
    """
    known: dict[int, int] = {}  # number of a phrase and its last symbol → its number
    room = most - levels
    phrase = symbols[0]
    numbers = []
    for symbol in symbols[1:]:
        key = phrase * levels + symbol
        if (longer := known.get(key)) is not None:
            phrase = longer
            continue
        numbers.append(phrase)
        phrase = symbol
        if len(known) < room:
            known[key] = levels + len(known)
    return [*numbers, phrase]


def spell(numbers: list[int], count: int, levels: int, most: int) -> list[bytes]:
    """The phrases of numbers, each symbol in the bytes of its smallest type. The opposite of
    `phrases`.
    """
    width = smallest(levels).itemsize
    symbols = np.arange(levels, dtype=smallest(levels)).tobytes()
    known = [symbols[at : at + width] for at in range(0, len(symbols), width)]
    found = []
    left = count * width
    before = b""
    for number in numbers:
        if number > len(known) - (not before):
            raise damaged("it names a phrase that is not known yet")
        phrase = known[number] if number < len(known) else before + before[:width]
        if before and len(known) < most:
            known.append(before + phrase[:width])
        left = left - len(phrase)
        before = phrase
        if left < 0:
            raise damaged(f"it holds more than {count:,} symbols")
        found.append(phrase)
    return found
