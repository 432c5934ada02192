"""What a classical source coder promises: any sequence of symbols to bytes and back."""

from __future__ import annotations

import abc
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from dalm.codec.stream import (
    MOST_LEVELS,
    MOST_SYMBOLS,
    StreamReader,
    Whole,
    damaged,
    smallest,
    varint,
)
from dalm.errors import DalmError, is_integer
from dalm.options import Options


class Coder(Options, abc.ABC):
    """Codes sequences of whole numbers 0 … levels - 1.

    A stream says all that its coder's `decode` needs: the count of symbols and the levels come
    first, then the coder's own options. A subclass declares its options, each with a default.

    >>> class Plain(Coder):
    ...     name = "plain"
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(owner=cls.name, **kwargs)

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
        if not len(checked) or levels == 1:
            return head
        return head + self._encode(checked, levels)

    @final
    def decode(self, stream: bytes) -> NDArray[Any]:
        """The symbols (N,) of a stream, in the smallest unsigned type that holds the levels.

        Raises:
            DalmError: no coder of this class wrote the stream. Not all damage can be seen: a stream
                holds no checksum.
        """
        reader = StreamReader(stream)
        count = reader.number(MOST_SYMBOLS)
        levels = reader.number(MOST_LEVELS - 1) + 1
        symbols: Whole = np.zeros(count, np.uint8)
        if count and levels > 1:
            symbols = self._decode(reader, count, levels)
        if reader.left:
            raise damaged(f"{reader.left} bytes follow its end")
        if len(symbols) != count or (count and int(symbols.max()) >= levels):
            raise damaged(f"it does not hold {count:,} symbols of {levels:,} levels")
        return symbols.astype(smallest(levels))

    @abc.abstractmethod
    def _encode(self, symbols: Whole, levels: int) -> bytes:
        """What follows the head; there is at least one symbol (N,), in the smallest unsigned type,
        and there are two levels.
        """

    @abc.abstractmethod
    def _decode(self, reader: StreamReader, count: int, levels: int) -> Whole:
        """The symbols (count,), none negative; the rest is checked by the caller."""


def check_symbols(symbols: NDArray[Any], levels: int) -> Whole:
    """The symbols in the smallest unsigned type.

    Args:
        symbols: (N,), of any integer type.
        levels: size of the alphabet.

    Raises:
        DalmError: they are not whole numbers from 0 to levels - 1, or too many.
    """
    if not (is_integer(levels) and 1 <= levels <= MOST_LEVELS):
        raise DalmError(f"a coder takes from 1 to {MOST_LEVELS} levels, got {levels!r}")
    is_array = isinstance(symbols, np.ndarray)
    if not (is_array and symbols.ndim == 1 and np.issubdtype(symbols.dtype, np.integer)):
        got = f"{symbols.shape} of {symbols.dtype}" if is_array else type(symbols).__name__
        raise DalmError(
            f"a coder takes a flat array of whole numbers, got {got}; flatten images first"
        )
    if len(symbols) > MOST_SYMBOLS:
        raise DalmError(
            f"a stream holds at most {MOST_SYMBOLS:,} symbols, got {len(symbols):,}; write several"
        )
    if len(symbols) and not 0 <= int(symbols.min()) <= int(symbols.max()) < levels:
        raise DalmError(
            f"symbols of {levels} levels lie from 0 to {levels - 1}, got {symbols.min()} to "
            f"{symbols.max()}"
        )
    return symbols.astype(smallest(levels))
