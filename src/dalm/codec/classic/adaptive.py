r"""Adaptive range coding with contexts (Langdon & Rissanen 1981; Martin 1979; Witten, Neal & Cleary
1987): learn while you code.

A symbol of n bits is n decisions along a binary tree, as in LZMA. Each node of the tree, in each
context of the `order` symbols before it, counts its zeros and ones and predicts the next with
Krichevsky and Trofimov's estimate (1981), half a count added to each:

    P(1) = (n₁ + 1/2) / (n₀ + n₁ + 1).

The range coder takes each decision at -log₂ P. The decoder counts along, so that no table is sent.
For n decisions from a fixed source the estimate costs at most (log₂ n) / 2 + 1 bits above their
entropy: a tree of K symbols in C contexts costs H + O(K C log N / N) bits a symbol of N, where H is
the entropy given the context. When a node has seen `MOST_SEEN` decisions its counts are halved, so
that it follows a source that changes.

Two departures from the textbook, for speed and memory. Each block of 2^16 symbols is dealt to
lanes, consecutive stretches that are coded in lockstep and share all counts, so that numpy works on
many at once: a symbol's context is within its lane, and a change of the source is learned from
block to block. Where contexts times nodes exceed `MOST_SLOTS`, hashing decides who shares counts.
Lanes cost 0.3 % on the 32,000 pixels of the digits' test images. Both sides do the same
whole-number arithmetic, so the file does not depend on the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, final

import constriction
import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.bits import WORD_BITS, bit_lengths
from dalm.codec.classic.coder import Coder, check_symbols
from dalm.codec.stream import StreamReader, Whole, damaged, varint
from dalm.codec.tables import LEVELS
from dalm.exact.fixed import PARTS, PRECISION
from dalm.options import option

MOST_SEEN = 1024
"""Decisions after which the counts of a node are halved."""
MOST_LANES = 512
"""Lanes: a step of all lanes never fills a node twice."""
BLOCK_SYMBOLS = 1 << 16
"""Symbols that are coded in lockstep; what is learned in one block is known in the next."""
SLOT_BITS = 22
MOST_SLOTS = 1 << SLOT_BITS
"""Pairs of counts."""
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, for multiplicative hashing (Knuth 1973)."""
LEAST_BITS = math.log2(1 + 1 / (2 * MOST_SEEN + 1))
"""Bits of a decision, at least: all of `MOST_SEEN` went the same way."""

_Integers = NDArray[np.int64]
_Decide = Callable[[_Integers, _Integers, int], _Integers]
"""Given the parts of a one, the places of their symbols and of the bit: the decisions."""


@final
class Adaptive(Coder):
    """Range coding by counts that are learned on the way.

    >>> coder, symbols = Adaptive(order=1), np.array([0, 1, 2] * 100)
    >>> stream = coder.encode(symbols, levels=3)
    >>> len(stream), np.array_equal(coder.decode(stream), symbols)
    (12, True)
    >>> round(coder.code_length(symbols, levels=3))
    63
    """

    order: int = option("symbols of context", default=0, at_least=0, at_most=2)

    name = "adaptive"
    year = 1981
    paper = "Langdon & Rissanen, Compression of black-white images with arithmetic coding"

    def code_length(self, symbols: NDArray[Any], levels: int) -> float:
        """Bits of symbols under the model: what a perfect coder would write after the head.

        Args:
            symbols: whole numbers, (N,).
            levels: size of the alphabet.
        """
        price = _Price(check_symbols(symbols, levels))
        _walk(len(symbols), levels, self.order, price)
        return price.bits

    def _encode(self, symbols: Whole, levels: int) -> bytes:
        writer = _Writer(symbols)
        _walk(len(symbols), levels, self.order, writer)
        return varint(self.order) + _shortest(writer.coder)

    def _decode(self, reader: StreamReader, count: int, levels: int) -> Whole:
        order = reader.number(2)
        reader.require(count, LEAST_BITS)
        stream = reader.rest()
        taker = _Taker(stream)
        symbols = _walk(count, levels, order, taker)
        if _shortest(taker.again) != stream:
            raise damaged("its bytes are not the shortest for its symbols")
        return symbols


def _tables(ones: _Integers) -> NDArray[np.float32]:
    """Parts of a one (N,) as constriction takes them, (N, 2)."""
    table = np.empty((len(ones), 2), np.float32)
    table[:, 0] = PARTS - 2 - ones
    table[:, 1] = ones
    return table


class _Price:
    """Decides as the symbols say, and adds up what that costs."""

    def __init__(self, symbols: Whole) -> None:
        self.symbols = symbols
        self.bits = 0.0

    def __call__(self, ones: _Integers, places: _Integers, shift: int) -> _Integers:
        """The bits of symbols at `places`."""
        bits = self.symbols[places].astype(np.int64) >> shift & 1
        parts = np.where(bits, ones, PARTS - 2 - ones) + 1
        self.bits += float((PRECISION - np.log2(parts)).sum())
        return bits


class _Writer:
    """Decides as the symbols say, and writes that down."""

    def __init__(self, symbols: Whole) -> None:
        self.symbols = symbols.astype(np.int32)
        self.coder = constriction.stream.queue.RangeEncoder()

    def __call__(self, ones: _Integers, places: _Integers, shift: int) -> _Integers:
        """The bits of symbols at `places`."""
        bits = self.symbols[places] >> shift & 1
        self.coder.encode(bits, LEVELS, _tables(ones))
        return bits.astype(np.int64)


class _Taker:
    """Decides as the stream says, and writes it down again, which shows what the stream should have
    been.
    """

    def __init__(self, stream: bytes) -> None:
        words = np.frombuffer(stream + bytes(-len(stream) % 4), ">u4").astype(np.uint32)
        self.coder = constriction.stream.queue.RangeDecoder(words)
        self.again = constriction.stream.queue.RangeEncoder()

    def __call__(self, ones: _Integers, places: _Integers, shift: int) -> _Integers:
        """The next bits."""
        tables = _tables(ones)
        try:
            bits = self.coder.decode(LEVELS, tables)
        except AssertionError:  # constriction's word for a number outside its range
            raise damaged("no encoder leaves such words") from None
        self.again.encode(bits, LEVELS, tables)
        return np.asarray(bits, np.int64)


def _shortest(coder: Any) -> bytes:
    """As many bytes as a point of a range encoder's interval needs, whatever the interval, if zeros
    are read after their end.

    The encoder itself ends with a whole word. It tells its interval's beginning modulo 2^64, its
    width, and how many words come before.
    """
    words = coder.get_compressed()
    before, (low, width) = coder.pos()
    missing = before + 2 - len(words)
    point = int.from_bytes(words.astype(">u4").tobytes(), "big") << WORD_BITS * missing
    last = point - (point - low) % (1 << 2 * WORD_BITS) + width - 1
    dropped = (width.bit_length() - 1) // 8
    return (last >> 8 * dropped).to_bytes(4 * before + 8 - dropped, "big")


class _Counts:
    """Zeros and ones seen by each node in each context: twice the count and one, so that half a
    count more is a whole number.

    Args:
        levels: size of the alphabet.
        order: symbols of context.
    """

    def __init__(self, levels: int, order: int) -> None:
        self.depth = (levels - 1).bit_length()
        slots = levels**order << self.depth
        self.hashed = slots > MOST_SLOTS
        self.seen = np.ones((min(slots, MOST_SLOTS), 2), np.uint16)
        nodes = np.arange(1 << self.depth)
        below = self.depth - bit_lengths(nodes)
        first_symbol = (2 * nodes + 1 << below) - len(nodes)  # on the side of one
        self.possible = (first_symbol < levels).astype(np.int64)

    def slots(self, contexts: _Integers, nodes: _Integers) -> _Integers:
        """Where the counts of each node are, (N,).

        Args:
            contexts: numbers of the contexts, (N,).
            nodes: numbers of the nodes in them, (N,).
        """
        exact = (contexts << self.depth) + nodes
        if not self.hashed:
            return exact
        product = exact.astype(np.uint64) * GOLDEN
        return (product >> np.uint64(64 - SLOT_BITS)).astype(np.int64)

    def ones(self, slots: _Integers, nodes: _Integers) -> _Integers:
        """Parts of a one, of `PARTS` - 2 (N,); none where no symbol begins so.

        Args:
            slots: where the counts of the nodes are, (N,).
            nodes: their numbers, (N,).
        """
        pairs = self.seen.take(slots, 0).astype(np.int64)
        zeros = pairs[:, 0]
        ones = pairs[:, 1]
        return ones * self.possible.take(nodes) * (PARTS - 2) // (zeros + ones)

    def learn(self, slots: _Integers, bits: _Integers) -> None:
        """Count decisions, and halve the counts of those nodes that have seen enough.

        Args:
            slots: where the counts of the nodes are, (N,).
            bits: what was decided there, (N,).
        """
        np.add.at(self.seen.reshape(-1), 2 * slots + bits, np.uint16(2))
        pairs = self.seen.take(slots, 0)
        full = pairs[:, 0] + pairs[:, 1] > 2 * MOST_SEEN + 2
        if full.any():
            self.seen[slots[full]] = pairs[full] >> 1 | 1


def _walk(count: int, levels: int, order: int, decide: _Decide) -> _Integers:
    """The symbols (count,) that a run of decisions leads to."""
    counts = _Counts(levels, order)
    symbols = np.zeros(count, np.int64)
    for places, before in _lockstep(count, order):
        contexts = np.zeros(len(places), np.int64)
        for earlier in before:
            contexts = contexts * levels + symbols[earlier]
        symbols[places] = _descend(counts, contexts, places, decide)
    return symbols


def _descend(counts: _Counts, contexts: _Integers, places: _Integers, decide: _Decide) -> _Integers:
    """From the root of the tree to a leaf, in each context (N,)."""
    nodes = np.ones(len(contexts), np.int64)
    for shift in reversed(range(counts.depth)):
        slots = counts.slots(contexts, nodes)
        bits = decide(counts.ones(slots, nodes), places, shift)
        counts.learn(slots, bits)
        nodes = 2 * nodes + bits
    return nodes - (1 << counts.depth)


def _lockstep(count: int, order: int) -> Iterator[tuple[_Integers, list[_Integers]]]:
    """For each step, the places of its symbols, one in each lane, and those of the `order` symbols
    before them, where there are any.
    """
    for begin in range(0, count, BLOCK_SYMBOLS):
        block = min(BLOCK_SYMBOLS, count - begin)
        starts, longer = _lanes(begin, block)
        size = block // len(starts)
        for step in range(size + (longer > 0)):
            places = starts[:longer] + step if step == size else starts + step
            yield places, [places - back for back in range(1, min(order, step) + 1)]


def _lanes(begin: int, block: int) -> tuple[_Integers, int]:
    """Where the lanes of a block begin, and how many of them, the first ones, are longer by one."""
    # few at first, when there is most to learn
    count = min(MOST_LANES, max(1, math.isqrt(begin + block) // 4))
    size, longer = divmod(block, count)
    lanes = np.arange(count)
    return begin + lanes * size + np.minimum(lanes, longer), longer
