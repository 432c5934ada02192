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

from typing import final

import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.bits import bit_lengths, pack_bits, take_bits
from dalm.codec.classic.coder import Coder
from dalm.codec.stream import MOST_SYMBOLS, StreamReader, Whole, damaged, smallest, varint
from dalm.options import option

MOST_NUMBER_BITS = 24
"""Bits of a number: a dictionary of more phrases would not fit into memory."""


@final
class LZW(Coder):
    """Phrases of a growing dictionary.

    >>> coder, symbols = LZW(), np.frombuffer(b"TOBEORNOTTOBEORTOBEORNOT", np.uint8)
    >>> stream = coder.encode(symbols, levels=256)
    >>> len(stream), coder.decode(stream).tobytes()
    (23, b'TOBEORNOTTOBEORTOBEORNOT')
    """

    bits: int = option("of a number at most", default=16, at_least=1, at_most=MOST_NUMBER_BITS)

    name = "lzw"
    year = 1984
    paper = "Welch, A technique for high-performance data compression"

    def _encode(self, symbols: Whole, levels: int) -> bytes:
        most = most_phrases(self.bits, levels)
        numbers = phrases(symbols.tolist(), levels, most)
        packed = pack_bits(np.array(numbers), widths(len(numbers), levels, most))
        return varint(self.bits, len(numbers)) + packed

    def _decode(self, reader: StreamReader, count: int, levels: int) -> Whole:
        most = most_phrases(reader.number(MOST_NUMBER_BITS), levels)
        total = reader.number(MOST_SYMBOLS)
        reader.require(total, 1)
        numbers = take_bits(reader, widths(total, levels, most)).tolist()
        spelled = b"".join(spell(numbers, count, levels, most))
        return np.frombuffer(spelled, smallest(levels))


def most_phrases(bits: int, levels: int) -> int:
    """Phrases in a full dictionary: room for at least as many as there are symbols.

    Args:
        bits: of a number, at most, if that is room enough.
        levels: size of the alphabet.
    """
    return 1 << max(bits, (levels - 1).bit_length() + 1)


def widths(total: int, levels: int, most: int) -> NDArray[np.int64]:
    """Bits of each number, (total,): its dictionary has grown by one for each before it.

    Args:
        total: how many numbers.
        levels: size of the alphabet.
        most: phrases in the dictionary, at most.
    """
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
    longer: dict[int, int] = {}  # number of a phrase and a symbol that follows → their number
    room = most - levels
    phrase = symbols[0]
    numbers = []
    for symbol in symbols[1:]:
        key = phrase * levels + symbol
        if key in longer:
            phrase = longer[key]
            continue
        numbers.append(phrase)
        phrase = symbol
        if len(longer) < room:
            longer[key] = levels + len(longer)
    return [*numbers, phrase]


def spell(numbers: list[int], count: int, levels: int, most: int) -> list[bytes]:
    """The phrases of numbers, each symbol in the bytes of its smallest type. The opposite of
    `phrases`.

    Args:
        numbers: of the phrases.
        count: symbols in all of them, at most.
        levels: size of the alphabet.
        most: phrases in the dictionary, at most.
    """
    width = smallest(levels).itemsize
    symbols = np.arange(levels, dtype=smallest(levels)).tobytes()
    dictionary = [symbols[at : at + width] for at in range(0, len(symbols), width)]
    spelled = []
    room = count * width
    before = b""
    for number in numbers:
        if number > len(dictionary) - (not before):
            raise damaged("it names a phrase that is not known yet")
        newest = number == len(dictionary)
        phrase = before + before[:width] if newest else dictionary[number]
        if before and len(dictionary) < most:
            dictionary.append(before + phrase[:width])
        room -= len(phrase)
        if room < 0:
            raise damaged(f"it holds more than {count:,} symbols")
        spelled.append(phrase)
        before = phrase
    return spelled
