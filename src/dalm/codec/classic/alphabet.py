"""Which symbols of an alphabet are used: the rest then costs a coder nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.rice import Rice
from dalm.codec.stream import StreamReader, Whole, damaged, section


def read_table(reader: StreamReader) -> NDArray[np.int64]:
    """Whole numbers (K,) that `write_table` wrote."""
    return Rice().decode(reader.section()).astype(np.int64)


def write_table(numbers: Whole, most: int) -> bytes:
    """A few whole numbers as a section of Rice codes.

    Args:
        numbers: (K,).
        most: the largest that there could be.
    """
    return section(Rice().encode(numbers, most + 1))


def used(symbols: Whole) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Used symbols in order (K,), how often each is (K,), and each symbol's rank among them (N,).

    >>> used(np.array([7, 3, 7]))
    (array([3, 7]), array([1, 2]), array([1, 0, 1]))
    """
    counts = np.bincount(symbols)
    alphabet = np.flatnonzero(counts)
    rank_of = np.cumsum(counts > 0) - 1
    return alphabet, counts[alphabet], rank_of[symbols]


def write_used(alphabet: NDArray[np.int64], levels: int) -> bytes:
    """Used symbols as a section: the gaps between them.

    Args:
        alphabet: the used symbols in order, (K,).
        levels: how many there could be.
    """
    return write_table(np.diff(alphabet, prepend=-1) - 1, levels - 1)


def read_used(reader: StreamReader, levels: int) -> NDArray[np.int64]:
    """Used symbols (K,), at least one, in order.

    Args:
        reader: at the section that `write_used` wrote.
        levels: what they must be below; damage otherwise.
    """
    alphabet = np.cumsum(read_table(reader) + 1) - 1
    if not len(alphabet) or alphabet[-1] >= levels:
        raise damaged(f"its table is not of {levels:,} levels")
    return alphabet
