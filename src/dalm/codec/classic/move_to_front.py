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

RUN_TOKENS = 2
"""Tokens below this are digits of a run; a rank r > 0 is the token r + 1."""
MOST_RUN_DIGITS = 28
"""Digits of a run."""


def ranks(symbols: Whole, size: int) -> NDArray[np.int64]:
    """How many other symbols were seen since each was last, (N,).

    Args:
        symbols: (N,).
        size: of their alphabet.

    >>> ranks(np.array([2, 2, 0, 2, 2, 0, 0]), size=3)
    array([2, 0, 1, 1, 0, 1, 0])
    """
    result = np.zeros(len(symbols), np.int64)
    heads = np.flatnonzero(np.diff(symbols, prepend=0))  # the others repeat the front
    recent = _alphabet(size)
    for at, symbol in zip(heads.tolist(), map(chr, symbols[heads].tolist()), strict=True):
        rank = recent.index(symbol)
        recent = symbol + recent[:rank] + recent[rank + 1 :]
        result[at] = rank
    return result


def from_ranks(recencies: Whole, size: int) -> NDArray[np.int64]:
    """The symbols (N,) of ranks. The opposite of `ranks`.

    Args:
        recencies: ranks below `size`, (N,).
        size: of the alphabet.
    """
    heads = np.flatnonzero(recencies)
    fronts = [0]
    recent = _alphabet(size)
    for rank in recencies[heads].tolist():
        symbol = recent[rank]
        recent = symbol + recent[:rank] + recent[rank + 1 :]
        fronts.append(ord(symbol))
    return np.repeat(np.array(fronts), np.diff(heads, prepend=0, append=len(recencies)))


def _alphabet(size: int) -> str:
    """Symbols 0 … size - 1 as characters, which a string finds faster than a list finds numbers."""
    return "".join(map(chr, range(size)))


def tokens(recencies: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ranks (N,) with their runs of zeros as digits.

    >>> tokens(np.array([0, 3, 0, 0, 0, 0, 0, 1]))  # runs of 1 = "1" and of 5 = "1 2"
    array([0, 4, 0, 1, 2])
    """
    zero = recencies == 0
    starts = np.flatnonzero(np.diff(zero, prepend=False) & zero)
    ends = np.flatnonzero(np.diff(zero, append=False) & zero) + 1
    run = np.zeros(len(recencies), np.int64)
    run[starts] = ends - starts + 1
    emitted = np.where(zero, np.maximum(bit_lengths(run) - 1, 0), 1)
    source = np.repeat(np.arange(len(recencies)), emitted)
    digit = np.arange(len(source)) - np.repeat(np.cumsum(emitted) - emitted, emitted)
    return np.where(zero[source], run[source] >> digit & 1, recencies[source] + 1)


def from_tokens(written: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The ranks (count,) of tokens. The opposite of `tokens`.

    Args:
        written: the tokens, (M,).
        count: how many ranks they are.

    Raises:
        DalmError: they are more or fewer.
    """
    places = np.arange(len(written))
    zero = written < RUN_TOKENS
    digit = places - np.maximum.accumulate(np.where(zero, -1, places)) - 1
    if (digit >= MOST_RUN_DIGITS).any():
        raise damaged("a run of zeros is too long")
    amounts = np.where(zero, (written + 1) << np.maximum(digit, 0), 1)
    if amounts.sum() != count:
        raise damaged(f"its runs are not {count:,} symbols")
    return np.repeat(np.where(zero, 0, written - 1), amounts)
