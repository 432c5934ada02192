"""A stack of symbols over one ANS coder (Duda 2009): the last one pushed is popped first."""

from __future__ import annotations

import hashlib
import math

import constriction
import numpy as np
import torch
from torch import Tensor

from dalm.codec.stream import Words
from dalm.codec.tables import LEVELS, CodeLength, flat, symbols


class ExhaustedError(Exception):
    """The stack has fewer bits than were to be read."""


def initial_words(count: int) -> Words:
    """`count` words that look random and are the same everywhere."""
    stream = hashlib.shake_128(b"dalm").digest(4 * count)
    return np.frombuffer(stream, "<u4").astype(np.uint32)


class Stack:
    """Levels by their tables, on top of a few words.

    Args:
        words: what was written before, or a few words to begin with.
        new: whether they are words to begin with.
        tally: told what is written and read.

    >>> stack = Stack(initial_words(4), new=True)
    >>> tables = torch.full((3, 2), 2.0**23 - 1)
    >>> stack.push(tables, torch.tensor([1, 0, 1]))
    >>> stack.pop(tables)
    tensor([1, 0, 1])
    """

    def __init__(self, words: Words, new: bool = False, tally: CodeLength | None = None) -> None:
        self.coder = constriction.stream.stack.AnsCoder(words, seal=new)
        self.tally = tally

    def began_with(self, words: Words) -> bool:
        """Whether nothing but `words` is left."""
        try:
            return np.array_equal(self.coder.get_compressed(unseal=True), words)
        except AssertionError:  # not even a whole number of words
            return False

    def push(self, tables: Tensor, values: Tensor) -> None:
        """Write levels.

        Args:
            tables: (..., levels).
            values: the levels, (...).
        """
        self.coder.encode_reverse(symbols(values), LEVELS, flat(tables))
        if self.tally:
            self.tally.add(tables, values)

    def pop(self, tables: Tensor) -> Tensor:
        """Read levels (...) with tables (..., levels).

        Raises:
            ExhaustedError: the stack ran dry.
        """
        levels = torch.from_numpy(self.coder.decode(LEVELS, flat(tables)))
        values = levels.view(tables.shape[:-1])
        if self.coder.num_words() < 2:
            raise ExhaustedError
        if self.tally:
            self.tally.add(tables, values, -1)
        return values.to(tables.device, torch.long)

    def push_even(self, values: Tensor, size: int) -> None:
        """Write levels that are all alike.

        Args:
            values: of any shape.
            size: how many levels there are.
        """
        if size == 1:
            return
        self.coder.encode_reverse(symbols(values), constriction.stream.model.Uniform(size))
        if self.tally:
            self.tally.bits += values.numel() * math.log2(size)

    def pop_even(self, shape: tuple[int, ...], size: int) -> Tensor:
        """Read levels that are all alike.

        Args:
            shape: of the result.
            size: how many levels there are.
        """
        if size == 1:
            return torch.zeros(shape, dtype=torch.long)
        uniform = constriction.stream.model.Uniform(size)
        levels = self.coder.decode(uniform, math.prod(shape))
        return torch.from_numpy(levels).view(shape).long()
