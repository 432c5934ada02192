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

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.bits import pack, take
from dalm.codec.classic.coder import Coder
from dalm.codec.stream import LARGEST, Reader, Whole, damaged, varint
from dalm.core import within

PARAMETER = 4
"""Bits of a block's parameter: k up to 15 suffices for 2^17 levels."""


@final
@dataclass(frozen=True)
class Rice(Coder):
    """Golomb–Rice codes with a parameter for each block; best for numbers of which small ones are
    likely.

    Args:
        block: symbols in a block.

    >>> coder = Rice()
    >>> stream = coder.encode(np.array([0, 1, 0, 2, 0, 0]), levels=256)
    >>> len(stream), coder.decode(stream)
    (7, array([0, 1, 0, 2, 0, 0], dtype=uint8))
    """

    block: int = 64

    name = "rice"
    year = 1979
    paper = "Rice, Some practical universal noiseless coding techniques"

    def __post_init__(self) -> None:
        within(self.name, 1, block=self.block)

    def _encode(self, symbols: Whole, levels: int) -> bytes:
        block = min(self.block, LARGEST)
        chosen = best(symbols, block)
        shifts = np.repeat(chosen, _sizes(len(symbols), block))
        low = symbols & ((1 << shifts) - 1)
        return (
            varint(block)
            + pack(chosen, np.full(len(chosen), PARAMETER))
            + pack(low, shifts)
            + unary(symbols >> shifts)
        )

    def _decode(self, reader: Reader, count: int, levels: int) -> Whole:
        block = max(1, reader.number(LARGEST))
        reader.enough(count, 1)
        sizes = _sizes(count, block)
        chosen = take(reader, np.full(len(sizes), PARAMETER))
        shifts = np.repeat(chosen, sizes)
        low = take(reader, shifts)
        return (from_unary(reader.rest(), count) << shifts) + low


def best(symbols: Whole, block: int) -> NDArray[np.int64]:
    """The parameter of each block that makes it shortest, (ceil(N / block),).

    >>> best(np.array([0, 1, 0, 0, 90, 80, 99, 70]), block=4)
    array([0, 6])
    """
    sizes = _sizes(len(symbols), block)
    starts = np.arange(len(sizes)) * block
    costs = [
        np.add.reduceat(symbols >> k, starts, dtype=np.int64) + k * sizes
        for k in range(1 << PARAMETER)
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
    """The numbers (count,) of a stream of nothing else. The opposite of `unary`."""
    ones = np.flatnonzero(np.unpackbits(np.frombuffer(stream, np.uint8)))
    if len(ones) != count or (count and 8 * len(stream) - ones[-1] > 8):
        raise damaged(f"it holds {len(ones):,} numbers, expected {count:,}")
    return np.diff(ones, prepend=-1) - 1
