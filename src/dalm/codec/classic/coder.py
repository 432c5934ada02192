"""What a classical source coder promises: any sequence of symbols to bytes and back."""

from __future__ import annotations

import abc
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from dalm.codec.stream import LARGEST, MOST_LEVELS, Reader, Whole, damaged, smallest, varint
from dalm.errors import DalmError, is_integer


class Coder(abc.ABC):
    """Codes sequences of whole numbers 0 … levels - 1.

    A stream says all that its coder's `decode` needs: the count of symbols and the levels come
    first, then the coder's own options. A subclass is a frozen dataclass whose fields are its
    options, each with a default.

    >>> class Plain(Coder):
    ...     name, year, paper = "plain", 1963, "ASCII"
    ...
    ...     def _encode(self, symbols, levels):
    ...         return symbols.astype(np.uint8).tobytes()
    ...
    ...     def _decode(self, reader, count, levels):
    ...         return np.frombuffer(reader.take(count), np.uint8)
    >>> stream = Plain().encode(np.array([1, 2]), levels=3)
    >>> stream.hex(), Plain().decode(stream)  # two symbols, up to 2, and they are 1 and 2
    ('02020102', array([1, 2], dtype=uint8))
    """

    name: ClassVar[str]
    year: ClassVar[int]
    paper: ClassVar[str]

    @final
    def encode(self, symbols: NDArray[Any], levels: int) -> bytes:
        """The stream of symbols (N,).

        Args:
            symbols: whole numbers from 0 to levels - 1, of any integer type; at most 2^27 of them.
            levels: size of the alphabet, from 1 to 2^17.

        Raises:
            DalmError: the symbols are anything else.
        """
        checked = check_symbols(symbols, levels)
        head = varint(len(checked), levels - 1)
        return head + self._encode(checked, levels) if len(checked) and levels > 1 else head

    @final
    def decode(self, stream: bytes) -> NDArray[Any]:
        """The symbols (N,) of a stream, in the smallest unsigned type that holds the levels.

        Raises:
            DalmError: no coder of this class wrote the stream. Not all damage can be seen: a stream
                holds no checksum.
        """
        reader = Reader(stream)
        count = reader.number(LARGEST)
        levels = reader.number(MOST_LEVELS - 1) + 1
        found = (
            self._decode(reader, count, levels)
            if count and levels > 1
            else np.zeros(count, np.uint8)
        )
        if reader.left:
            raise damaged(f"{reader.left} bytes follow its end")
        if len(found) != count or (count and int(found.max()) >= levels):
            raise damaged(f"it does not hold {count:,} symbols of {levels:,} levels")
        return found.astype(smallest(levels))

    @abc.abstractmethod
    def _encode(self, symbols: Whole, levels: int) -> bytes:
        """What follows the head; there is at least one symbol (N,), in the smallest unsigned type,
        and there are two levels.
        """

    @abc.abstractmethod
    def _decode(self, reader: Reader, count: int, levels: int) -> Whole:
        """The symbols (count,), none negative; the rest is checked by the caller."""


def check_symbols(symbols: NDArray[Any], levels: int) -> Whole:
    """The symbols in the smallest unsigned type; DalmError unless they are whole numbers from 0 to
    levels - 1.
    """
    if not (is_integer(levels) and 1 <= levels <= MOST_LEVELS):
        raise DalmError(f"a coder takes from 1 to {MOST_LEVELS} levels, got {levels!r}")
    if (
        not isinstance(symbols, np.ndarray)
        or symbols.ndim != 1
        or not np.issubdtype(symbols.dtype, np.integer)
    ):
        got = (
            f"{symbols.shape} of {symbols.dtype}"
            if isinstance(symbols, np.ndarray)
            else type(symbols).__name__
        )
        raise DalmError(
            f"a coder takes a flat array of whole numbers, got {got}; flatten images first"
        )
    if len(symbols) > LARGEST:
        raise DalmError(
            f"a stream holds at most {LARGEST:,} symbols, got {len(symbols):,}; write several"
        )
    if len(symbols) and not 0 <= int(symbols.min()) <= int(symbols.max()) < levels:
        raise DalmError(
            f"symbols of {levels} levels lie from 0 to {levels - 1}, got {symbols.min()} to "
            f"{symbols.max()}"
        )
    return symbols.astype(smallest(levels))
