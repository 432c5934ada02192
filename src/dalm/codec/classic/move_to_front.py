"""Move-to-front (Bentley et al. 1986) and runs of zeros: what follows a Burrows–Wheeler transform.

Recently seen symbols get small numbers: a symbol's rank in a list that moves each symbol to its
front. Runs of one symbol become runs of zeros, and a run of r zeros becomes the digits of r in base
2 with the digits 1 and 2 (Wheeler's code, as in bzip2), lowest first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dalm.codec.classic.bits import bit_lengths
from dalm.codec.stream import Whole, damaged

DIGITS = 2
"""Tokens below this are digits of a run; a rank r > 0 is the token r + 1."""
LONGEST = 28
"""Digits of a run, at most."""


def ranks(symbols: Whole, size: int) -> NDArray[np.int64]:
    """How many symbols were seen since each was last (N,).

    >>> ranks(np.array([2, 2, 0, 2, 2, 0, 0]), size=3)
    array([2, 0, 1, 1, 0, 1, 0])
    """
    found = np.zeros(len(symbols), np.int64)
    heads = np.flatnonzero(np.diff(symbols, prepend=0))  # the others repeat the front
    table = "".join(
        map(chr, range(size))
    )  # a string finds a character faster than a list finds a number
    for at, symbol in zip(heads.tolist(), map(chr, symbols[heads].tolist()), strict=True):
        found[at] = rank = table.index(symbol)
        table = symbol + table[:rank] + table[rank + 1 :]
    return found


def from_ranks(found: Whole, size: int) -> NDArray[np.int64]:
    """The symbols (N,) with these ranks below `size`."""
    heads = np.flatnonzero(found)
    fronts = [0]
    table = "".join(map(chr, range(size)))
    for rank in found[heads].tolist():
        symbol = table[rank]
        table = symbol + table[:rank] + table[rank + 1 :]
        fronts.append(ord(symbol))
    return np.repeat(np.array(fronts), np.diff(heads, prepend=0, append=len(found)))


def tokens(found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ranks (N,) with their runs of zeros as digits.

    >>> tokens(np.array([0, 3, 0, 0, 0, 0, 0, 1]))  # runs of 1 = "1" and of 5 = "1 2"
    array([0, 4, 0, 1, 2])
    """
    zero = found == 0
    starts = np.flatnonzero(np.diff(zero, prepend=False) & zero)
    ends = np.flatnonzero(np.diff(zero, append=False) & zero) + 1
    run = np.zeros(len(found), np.int64)
    run[starts] = ends - starts + 1
    emitted = np.where(zero, np.maximum(bit_lengths(run) - 1, 0), 1)
    source = np.repeat(np.arange(len(found)), emitted)
    digit = np.arange(len(source)) - np.repeat(np.cumsum(emitted) - emitted, emitted)
    return np.where(zero[source], run[source] >> digit & 1, found[source] + 1)


def from_tokens(written: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The ranks (count,) of tokens. The opposite of `tokens`; DalmError if there are more or fewer."""
    places = np.arange(len(written))
    zero = written < DIGITS
    digit = places - np.maximum.accumulate(np.where(zero, -1, places)) - 1
    if (digit >= LONGEST).any():
        raise damaged("a run of zeros is too long")
    amounts = np.where(zero, (written + 1) << np.maximum(digit, 0), 1)
    if amounts.sum() != count:
        raise damaged(f"its runs are not {count:,} symbols")
    return np.repeat(np.where(zero, 0, written - 1), amounts)
