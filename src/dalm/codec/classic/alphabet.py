"""Which symbols of an alphabet are used: the rest then costs a coder nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.rice import Rice
from dalm.codec.stream import Reader, Whole, damaged, section


def read_table(reader: Reader) -> NDArray[np.int64]:
    """Whole numbers (K,) that `write_table` wrote."""
    return Rice().decode(reader.section()).astype(np.int64)


def write_table(numbers: Whole, most: int) -> bytes:
    """A few whole numbers (K,) from 0 to `most`, as a section of Rice codes."""
    return section(Rice().encode(numbers, most + 1))


def used(symbols: Whole) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Used symbols in order (K,), how often each is (K,), and each symbol's rank among them (N,).

    >>> used(np.array([7, 3, 7]))
    (array([3, 7]), array([1, 2]), array([1, 0, 1]))
    """
    counts = np.bincount(symbols)
    found = np.flatnonzero(counts)
    return found, counts[found], (np.cumsum(counts > 0) - 1)[symbols]


def write_used(found: NDArray[np.int64], levels: int) -> bytes:
    """Used symbols (K,) as a section: the gaps between them."""
    return write_table(np.diff(found, prepend=-1) - 1, levels - 1)


def read_used(reader: Reader, levels: int) -> NDArray[np.int64]:
    """Used symbols (K,), at least one, in order and below `levels`."""
    found = np.cumsum(read_table(reader) + 1) - 1
    if not len(found) or found[-1] >= levels:
        raise damaged(f"its table is not of {levels:,} levels")
    return found
