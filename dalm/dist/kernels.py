"""A mixture of Gaussian kernels over levels, predicted entry by entry in exact arithmetic."""

from __future__ import annotations

import functools
import math

import mpmath
import torch
from torch import Tensor

from dalm.dist import fixed

BLOCK = 1 << 22  # pairs that are predicted at once


@functools.lru_cache(maxsize=4)
def kernel_masses(width: float, levels: int) -> tuple[Tensor, Tensor]:
    """The kernel's bin masses T[x, c] and their log₂, (levels, levels) float64 each, correctly rounded, so the same on every machine.

    >>> kernel_masses(1.0, 2)[0]
    tensor([[0.6915, 0.3085],
            [0.3085, 0.6915]], dtype=torch.float64)
    """
    def mass(low: float, high: float) -> tuple[float, float]:
        if low + high > 0:  # the lower tail keeps its precision
            low, high = -high, -low
        exact = mpmath.ncdf(mpmath.mpf(high) / width) - mpmath.ncdf(mpmath.mpf(low) / width)
        return float(exact), float(mpmath.log(exact, 2))

    with mpmath.workprec(120):
        inner = torch.tensor([mass(d - 0.5, d + 0.5) for d in range(1 - levels, levels)], dtype=torch.float64)
        ends = torch.tensor([mass(-math.inf, 0.5 - c) for c in range(levels)], dtype=torch.float64)
    grid = torch.arange(levels)
    table = inner[grid[:, None] - grid + levels - 1]
    table[0], table[-1] = ends, ends.flip(0)
    return table[..., 0], table[..., 1]


class KernelPredictor:
    """Tables of a mixture of kernels, entry by entry, in exact arithmetic: each row's weight is its kernel over the entries so far.

    Data that began alike share their weights, which at first are the costly ones: all rows count until the data differ from them.

    Args:
        tables: T and log₂ T, (levels, levels) each.
        rows: what was remembered, (N, D).
        n: how many data at once.
    """

    def __init__(self, tables: tuple[Tensor, Tensor], rows: Tensor, n: int) -> None:
        self.rows, self.at = rows, 0
        mass, log_mass = (table.to(rows.device) for table in tables)
        self.mass = fixed.whole(mass)
        # Log weights are whole numbers of 2^-10 bits. A single entry counts at most as much as lets the sum of all stay in an int32.
        self.log_mass = (log_mass.clamp_min(-(2.0**20) / rows.shape[1]) * 1024).round().int()
        self.log_weights = torch.zeros(1, len(rows), dtype=torch.int32, device=rows.device)
        self.beginning = torch.zeros(n, dtype=torch.long, device=rows.device)

    def predict(self) -> Tensor:
        """(n, 1, levels)."""
        self.centres = self.rows[:, self.at].long()
        share = torch.cat([self._share(block) for block in self.log_weights.split(max(1, BLOCK // len(self.rows)))])
        tables = fixed.table((share * (2.0**24 / share.sum(1, keepdim=True))).floor() @ self.mass.T)
        return tables[self.beginning][:, None]

    def _share(self, log_weights: Tensor) -> Tensor:
        """Whole weights of the values that the rows have here, (B, levels). Rows 20 bits below the best one weigh nothing."""
        best = log_weights.amax(1, keepdim=True)
        datum, row = (log_weights > best - 20 * 1024).nonzero(as_tuple=True)
        weights = fixed.shares_below((log_weights[datum, row] - best[datum, 0]) / 1024)
        share = torch.zeros(len(log_weights), len(self.mass), dtype=torch.float64, device=weights.device)
        return share.index_put_((datum, self.centres[row]), weights, accumulate=True)

    def update(self, values: Tensor) -> None:
        """(n, 1)."""
        self.at += 1
        if (self.centres == self.centres[0]).all():
            return  # weights that all change alike stay as they are
        levels = len(self.mass)
        began, self.beginning = (self.beginning * levels + values[:, 0].long()).unique(return_inverse=True)
        parents = began // levels
        if len(parents) > len(self.log_weights):
            self.log_weights = self.log_weights[parents]
        size = max(1, BLOCK // len(self.rows))
        for block, value in zip(self.log_weights.split(size), (began % levels).split(size), strict=True):
            block += self.log_mass[value].index_select(1, self.centres)
