"""A mixture of Gaussian kernels over levels, predicted entry by entry in exact arithmetic."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from dalm.exact import fixed

REVIEWED_PAIRS = 1 << 18
"""Pairs that are looked at together: few enough for the processor's cache."""
LIGHT = 20 * 1024
"""So much below the best log weight, in 2^-10 bits, a row weighs nothing."""
AHEAD = 64 * 1024
"""About how far behind a row may be and still be followed entry by entry, once few are."""
FEW_SHARE = 0.02
"""The share of pairs that are few."""


@functools.lru_cache(maxsize=4)
def kernel_masses(width: float, levels: int) -> tuple[Tensor, Tensor]:
    """The kernel's bin masses T[x, c] and their log₂, (levels, levels) float64 each, correctly
    rounded, so the same on every machine.

    Args:
        width: standard deviation of the kernel, in levels.
        levels: how many there are.

    >>> kernel_masses(1.0, 2)[0]
    tensor([[0.6915, 0.3085],
            [0.3085, 0.6915]], dtype=torch.float64)
    """
    inner = [_mass(d - 0.5, d + 0.5, width) for d in range(1 - levels, levels)]
    outer = [_mass(-math.inf, 0.5 - c, width) for c in range(levels)]
    ends = torch.tensor(outer, dtype=torch.float64)
    grid = torch.arange(levels)
    differences = grid[:, None] - grid + levels - 1
    table = torch.tensor(inner, dtype=torch.float64)[differences]
    table[0] = ends
    table[-1] = ends.flip(0)
    return table[..., 0], table[..., 1]


def _mass(low: float, high: float, width: float) -> tuple[float, float]:
    """Mass of N(0, width²) between two numbers, and its log₂."""
    if low + high > 0:  # the lower tail keeps its precision
        return _mass(-high, -low, width)
    mp = fixed.MP
    mass = mp.ncdf(mp.mpf(high) / width) - mp.ncdf(mp.mpf(low) / width)
    return float(mass), float(mp.log(mass, 2))


class KernelPredictor:
    """Tables of a mixture of kernels, entry by entry, in exact arithmetic: each row's weight is its
    kernel over the entries so far.

    Data that began alike share their weights, which at first are the costly ones: all rows count
    until the data differ from them. Later few do. They are looked for among all rows only as often
    as others could have caught up with the best one. What most data have at an entry changes the
    weights in common.

    Args:
        tables: T and log₂ T, (levels, levels) each.
        rows: what was remembered, (N, D).
        n: how many data at once.
    """

    def __init__(self, tables: tuple[Tensor, Tensor], rows: Tensor, n: int) -> None:
        self.rows = rows
        self.at = 0
        mass, log_mass = (table.to(rows.device) for table in tables)
        self.mass = fixed.whole(mass)
        # Log weights are whole numbers of 2^-10 bits. A single entry counts at most as much as lets
        # the sum of all stay in an int32.
        floor = -(2.0**20) / rows.shape[1]
        self.log_mass = (log_mass.clamp_min(floor) * 1024).round().int()
        # Log weights of each beginning and row are the sum of these two.
        self.common = torch.zeros(len(rows), dtype=torch.int32, device=rows.device)
        self.log_weights = torch.zeros(1, len(rows), dtype=torch.int32, device=rows.device)
        self.beginning = torch.zeros(n, dtype=torch.long, device=rows.device)
        # The most that one row can gain on another in one entry.
        self.gain = int((self.log_mass.amax(1) - self.log_mass.amin(1)).amax())
        self.every = 1
        self.due = 0

    def predict(self) -> Tensor:
        """(n, 1, levels)."""
        self.centres = self.rows[:, self.at].long()
        if self.at >= self.due:
            self._review()
        share = self._share()
        weights = (share * (2.0**24 / share.sum(1, keepdim=True))).floor()
        tables = fixed.table(weights @ self.mass.T)
        return tables[self.beginning][:, None]

    def _review(self) -> None:
        """Find all pairs of datum and row whose weight can count until the next review."""
        self.margin = LIGHT + (self.every - 1) * self.gain
        start = 0
        near = []
        for block in self.log_weights.split(self._size):
            total = block + self.common
            counts = total > total.amax(1, keepdim=True) - self.margin
            near.append(counts.flatten().nonzero()[:, 0] + start)
            start += block.numel()
        self.near = torch.cat(near)
        self.due = self.at + self.every
        self.datum = self.near // len(self.rows)
        self.row = self.near - self.datum * len(self.rows)
        few = len(self.near) < FEW_SHARE * self.log_weights.numel()
        self.every = max(1, AHEAD // max(1, self.gain)) if few else 1

    @property
    def _size(self) -> int:
        """Data that are looked at together."""
        return max(1, REVIEWED_PAIRS // len(self.rows))

    def _share(self) -> Tensor:
        """Whole weights of the values that the rows have here, (B, levels). Rows 20 bits below the
        best one weigh nothing.
        """
        datum = self.datum
        row = self.row
        levels = len(self.mass)
        own = self.log_weights.view(-1).index_select(0, self.near)
        away = own + self.common.index_select(0, row)
        lowest = away.new_full((len(self.log_weights),), -(2**31))
        best = lowest.scatter_reduce_(0, datum, away, "amax")
        away -= best.index_select(0, datum)
        if self.margin > LIGHT:
            heavy = (away > -LIGHT).nonzero()[:, 0]
            datum = datum.index_select(0, heavy)
            row = row.index_select(0, heavy)
            away = away.index_select(0, heavy)
        place = datum * levels + self.centres.index_select(0, row)
        share = torch.zeros(len(best) * levels, dtype=torch.float64, device=away.device)
        return share.index_add_(0, place, fixed.shares_below(away / 1024)).view(-1, levels)

    def update(self, values: Tensor) -> None:
        """(n, 1)."""
        self.at += 1
        if (self.centres == self.centres[0]).all():
            return  # weights that all change alike stay as they are
        levels = len(self.mass)
        extended = self.beginning * levels + values[:, 0].long()
        began, self.beginning = extended.unique(return_inverse=True)
        parents = began // levels
        if len(parents) > len(self.log_weights):
            self.log_weights = self.log_weights[parents]
            self.due = self.at
        self._learn(began % levels)

    def _learn(self, values: Tensor) -> None:
        """Weigh the rows by what each beginning ended with, (B,)."""
        usual = values.mode().values
        change = self.log_mass[usual][self.centres]
        self.common += change
        for part in (values != usual).nonzero()[:, 0].split(self._size):
            own_change = self.log_mass[values[part]].index_select(1, self.centres)
            self.log_weights[part] += own_change - change
