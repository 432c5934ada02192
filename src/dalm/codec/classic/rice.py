r"""Golomb–Rice codes (Golomb 1966; Rice & Plaunt 1971; Rice 1979): cheap numbers are small numbers.

A number x is written as its quotient x >> k in unary, q zeros and a one, and its k low bits as they
are. It takes

    (x >> k) + 1 + k bits,

which is what -log₂ P(x) is, up to rounding, for a geometric distribution whose scale matches 2^k.
So the code is close to optimal for geometric numbers: the expected length for P(x) = (1 - θ) θ^x is
1 + k + θ^(2^k) / (1 - θ^(2^k)), within 0.13 bits of the entropy H when the mean is from 1/2 to
2^16, but never below one bit a symbol. For other distributions there is no bound in terms of H
alone; a symbol of 2^n levels costs at most about n + 1 bits and its share of a parameter.

Rice's adaptation: the symbols go in blocks, and each block takes the parameter k from 0 to 15 that
makes it shortest, in 4 bits. The stream is the size of a block, all parameters, all low bits, then
all unary parts, so that numpy reads and writes each part at once.
"""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.bits import pack_bits, take_bits
from dalm.codec.classic.coder import Coder
from dalm.codec.stream import MOST_SYMBOLS, StreamReader, Whole, damaged, varint
from dalm.options import option

PARAMETER_BITS = 4
"""Bits of a block's parameter: k up to 15 suffices for 2^17 levels."""


@final
class Rice(Coder):
    """Golomb–Rice codes with a parameter for each block; best for numbers of which small ones are
    likely.

    >>> coder = Rice()
    >>> stream = coder.encode(np.array([0, 1, 0, 2, 0, 0]), levels=256)
    >>> len(stream), coder.decode(stream)
    (7, array([0, 1, 0, 2, 0, 0], dtype=uint8))
    """

    block: int = option("symbols in a block", default=64, at_least=1)

    name = "rice"
    year = 1979
    paper = "Rice, Some practical universal noiseless coding techniques"

    def _encode(self, symbols: Whole, levels: int) -> bytes:
        block = min(self.block, MOST_SYMBOLS)
        parameters = best_parameters(symbols, block)
        shifts = np.repeat(parameters, _sizes(len(symbols), block))
        low = symbols & ((1 << shifts) - 1)
        head = varint(block) + pack_bits(parameters, _parameter_widths(len(parameters)))
        return head + pack_bits(low, shifts) + unary(symbols >> shifts)

    def _decode(self, reader: StreamReader, count: int, levels: int) -> Whole:
        block = max(1, reader.number(MOST_SYMBOLS))
        reader.require(count, 1)
        sizes = _sizes(count, block)
        parameters = take_bits(reader, _parameter_widths(len(sizes)))
        shifts = np.repeat(parameters, sizes)
        low = take_bits(reader, shifts)
        return (from_unary(reader.rest(), count) << shifts) + low


def _parameter_widths(count: int) -> NDArray[np.int64]:
    return np.full(count, PARAMETER_BITS)


def best_parameters(symbols: Whole, block: int) -> NDArray[np.int64]:
    """The parameter of each block that makes it shortest, (ceil(N / block),).

    Args:
        symbols: (N,).
        block: symbols in a block.

    >>> best_parameters(np.array([0, 1, 0, 0, 90, 80, 99, 70]), block=4)
    array([0, 6])
    """
    sizes = _sizes(len(symbols), block)
    starts = np.arange(len(sizes)) * block
    costs = [
        np.add.reduceat(symbols >> k, starts, dtype=np.int64) + k * sizes
        for k in range(1 << PARAMETER_BITS)
    ]
    return np.argmin(costs, axis=0)


def _sizes(count: int, block: int) -> NDArray[np.int64]:
    starts = np.arange(0, count, block)
    return np.minimum(count - starts, block)


def unary(numbers: Whole) -> bytes:
    """Each number as that many zeros and a one.

    >>> unary(np.array([2, 0, 1])).hex()  # 001 1 01 00
    '34'
    """
    ones = np.cumsum(numbers.astype(np.int64) + 1) - 1
    bits = np.zeros(int(ones[-1]) + 1, np.uint8)
    bits[ones] = 1
    return np.packbits(bits).tobytes()


def from_unary(stream: bytes, count: int) -> NDArray[np.int64]:
    """The numbers (count,) of a stream of nothing else. The opposite of `unary`.

    Args:
        stream: its bytes.
        count: how many numbers it must hold; damage otherwise.
    """
    ones = np.flatnonzero(np.unpackbits(np.frombuffer(stream, np.uint8)))
    if len(ones) != count or (count and 8 * len(stream) - ones[-1] > 8):
        raise damaged(f"it holds {len(ones):,} numbers, expected {count:,}")
    return np.diff(ones, prepend=-1) - 1
