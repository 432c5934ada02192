"""What predicts data entry by entry, in exact arithmetic: the form in which an entropy coder asks
for a distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from dalm.exact import fixed


class Predictor(Protocol):
    """Knows a batch of data as far as it was told, and predicts the next block of entries.

    A block may hold one entry or many; the entries of one block are independent given what came
    before.
    """

    def predict(self) -> Tensor:
        """Tables of the next block of entries of each datum, (B, block, levels); see
        `dalm.exact.fixed.table`.
        """

    def update(self, values: Tensor) -> None:
        """What the block turned out to be, (B, block)."""


class Independent:
    """Entries that know nothing of each other, one block each.

    Args:
        weights: whole weights of each level of each entry, (D, levels).
        n: how many data.
    """

    def __init__(self, weights: Tensor, n: int) -> None:
        self.weights = weights
        self.n = n
        self.at = 0

    def predict(self) -> Tensor:
        """(n, 1, levels)."""
        return fixed.table(self.weights[self.at]).expand(self.n, 1, -1)

    def update(self, values: Tensor) -> None:
        """(n, 1)."""
        self.at += 1


class Mixture:
    """A mixture of predictors of the same data, whose weights follow what they predicted.

    Args:
        parts: the components.
        weights: their probabilities at first, whole numbers (len(parts),).
        n: how many data.
    """

    def __init__(self, parts: Sequence[Predictor], weights: Tensor, n: int) -> None:
        self.parts = parts
        log_weights = fixed.log2(weights.double().clamp_min(2.0**-60))
        self.log_weights = fixed.on_grid(log_weights, 20).expand(n, -1)

    def predict(self) -> Tensor:
        """(n, block, levels)."""
        self.tables = [part.predict() for part in self.parts]
        mixed = torch.zeros((), dtype=torch.float64)
        for weight, table in zip(fixed.shares(self.log_weights).T, self.tables, strict=True):
            mixed = mixed + weight[:, None, None] * table.double()
        return fixed.table(mixed)

    def update(self, values: Tensor) -> None:
        """(n, block)."""
        lengths = torch.stack([fixed.bits(table, values).sum(1) for table in self.tables], 1)
        self.log_weights = self.log_weights - lengths
        for part in self.parts:
            part.update(values)


class PerClass:
    """Data of several kinds, each kind with its own predictor.

    Args:
        parts: predictor of each kind.
        rows: the data of each kind, as indices; together all of them.
    """

    def __init__(self, parts: Sequence[Predictor], rows: Sequence[Tensor]) -> None:
        self.parts = parts
        self.rows = rows
        self.back = torch.cat(list(rows)).argsort()

    def predict(self) -> Tensor:
        """(n, block, levels)."""
        return torch.cat([part.predict() for part in self.parts])[self.back]

    def update(self, values: Tensor) -> None:
        """(n, block)."""
        for part, rows in zip(self.parts, self.rows, strict=True):
            part.update(values[rows])
