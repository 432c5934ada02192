"""Tables and levels as constriction takes them, and what both drivers tell their callers."""

from __future__ import annotations

from collections.abc import Callable

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dalm.core import Generative
from dalm.exact import fixed

Progress = Callable[[int], None]
"""Told how many entries of data are done."""

LEVELS = constriction.stream.model.Categorical(perfect=False)
"""Levels by table: whole parts that sum to 2²⁴ less one for each level come out of constriction's
rounding unchanged.
"""


RARE_BITS = 20
"""From this cost on a level stands near the least probability that a table gives, 2⁻²⁴."""


class CodeLength:
    """Adds up what levels cost under their tables: the length that a perfect coder would reach.

    Tables sum to one, so this is the length of a distribution that exists, whatever the model's
    own log probability says.

    Args:
        n: how many data are counted one by one too, where the driver tells their rows.

    Attributes:
        bits: of all levels.
        each: of each datum, (n,), by the chain rule.
        rare_each: how many levels of each datum cost 20 bits or more, (n,).
        start: the datum that row 0 is.
        rare: how many levels cost 20 bits or more.

    >>> length = CodeLength()
    >>> length.add(torch.full((3, 2), 2.0**23 - 1), torch.tensor([1, 0, 1]))
    >>> length.bits
    3.0
    """

    def __init__(self, n: int = 0) -> None:
        self.bits = 0.0
        self.each = torch.zeros(n, dtype=torch.float64)
        self.rare_each = torch.zeros(n)
        self.start = 0
        self.rare = 0

    def add(self, tables: Tensor, values: Tensor, sign: int = 1, rows: slice | None = None) -> None:
        """Count levels that were written, or read.

        Args:
            tables: (..., levels).
            values: the levels, (...).
            sign: 1 if they were written, -1 if they were read.
            rows: which data they are of, (B, ...), if they are counted one by one.
        """
        lengths = fixed.bits(tables, values.to(tables.device))
        self.bits += sign * lengths.sum().item()
        self.rare += sign * int((lengths >= RARE_BITS).sum())
        if rows is not None and len(self.each):
            place = slice(self.start + rows.start, self.start + rows.stop)
            self.each[place] += lengths.sum(1).cpu()
            self.rare_each[place] += (lengths >= RARE_BITS).sum(1).cpu()


def flat(tables: Tensor) -> NDArray[np.float32]:
    """Tables (..., levels) as constriction takes them, (N, levels)."""
    rows = tables.reshape(-1, tables.shape[-1])
    array: NDArray[np.float32] = rows.contiguous().cpu().numpy()
    return array


def symbols(values: Tensor) -> NDArray[np.int32]:
    """Levels as constriction takes them, (N,)."""
    array: NDArray[np.int32] = values.reshape(-1).int().cpu().numpy()
    return array


def class_weights(model: Generative) -> Tensor:
    """Whole weights of the classes, (classes,): a conditional model's prior, else all are alike."""
    if not model.conditional:
        return torch.ones(model.spec.classes, dtype=torch.float64)
    return (model.prior.double() * fixed.PARTS).floor()
