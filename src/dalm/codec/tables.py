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


class CodeLength:
    """Adds up what levels cost under their tables: the length that a perfect coder would reach, in
    `bits`.
    """

    bits = 0.0

    def add(self, tables: Tensor, values: Tensor, sign: int = 1) -> None:
        """Count levels that were written, or read.

        Args:
            tables: (..., levels).
            values: the levels, (...).
            sign: 1 if they were written, -1 if they were read.
        """
        lengths = fixed.bits(tables, values.to(tables.device))
        self.bits += sign * lengths.sum().item()


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
